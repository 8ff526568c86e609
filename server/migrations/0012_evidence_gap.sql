-- Time in which what was heard of a kiosk could not be stored, although the rest of the fleet's was: it is unknown,
-- as if no server had listened to this one kiosk.
CREATE TABLE evidence_gap (
  kiosk TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  to_at BIGINT NOT NULL,
  PRIMARY KEY (kiosk, from_at)
);
