-- By which wall clock and hours a site's time was counted, as known from an instant on: only of sites of which it was
-- ever said anew. Signed figures are explained by what was known at their signature.
CREATE TABLE site_terms (
  site TEXT NOT NULL,
  -- 0: always.
  known_from_at BIGINT NOT NULL,
  timezone TEXT NOT NULL,
  service_hours TEXT NOT NULL,
  PRIMARY KEY (site, known_from_at)
);
