-- Which days off and make-up days, and which notice for planned work, time was counted by, as known from an instant on: a
-- row each time a server starts with others. Signed figures are explained by what was known at their signature.
CREATE TABLE calendar_terms (
  -- 0: always.
  known_from_at BIGINT NOT NULL PRIMARY KEY,
  -- JSON: {"off": [dates], "work": [dates]}.
  days TEXT NOT NULL,
  planned_notice_h BIGINT NOT NULL
);
