-- When the next heartbeat was due is said by the heartbeats themselves: an agent may be given another interval before
-- a month is signed.
ALTER TABLE evidence ADD COLUMN interval_s BIGINT;
