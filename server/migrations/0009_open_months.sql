-- Months that nobody signed yet: asked with every step of the bookkeeper, among years of signed ones.
CREATE INDEX uptime_month_open ON uptime_month (kiosk, month) WHERE version = 0;
