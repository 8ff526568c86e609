-- What a problem explains goes before it: asked for each ticket whose time is over, among years of incidents.
CREATE INDEX incident_of_parent ON incident (parent) WHERE parent IS NOT NULL;
