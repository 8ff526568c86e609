-- When kiosks count, where it is more than the dates in their row: stretches of service with time between them, and
-- what was known of them before it was corrected. Of most kiosks there is nothing here.
CREATE TABLE commissioned (
  kiosk TEXT NOT NULL,
  -- 0: always.
  known_from_at BIGINT NOT NULL,
  -- JSON: [[from, to], …] in milliseconds; the end of the last may be null.
  stretches TEXT NOT NULL,
  PRIMARY KEY (kiosk, known_from_at)
);
