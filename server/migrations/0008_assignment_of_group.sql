-- Whose kiosks: asked for one site or one engineer in a fleet of a hundred thousand.
CREATE INDEX assignment_of_group ON assignment (group_kind, group_id, from_at);
