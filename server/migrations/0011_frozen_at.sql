-- What a month's version 1 was made of is what had been received and approved by then: `[uptime] freeze_hours` may
-- be another by the time somebody asks.
ALTER TABLE uptime_month ADD COLUMN frozen_at BIGINT;
