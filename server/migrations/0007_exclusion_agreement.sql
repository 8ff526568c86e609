-- When planned work had been agreed is one thing, when somebody approved it another: a month that was signed is
-- counted again by what had been approved before its freeze.
ALTER TABLE exclusion ADD COLUMN agreed_at BIGINT;

-- Approved corrections of forgotten maintenance had their agreement stored as their approval.
UPDATE exclusion SET
  agreed_at = approved_at,
  approved_at = (SELECT c.decided_at FROM correction c WHERE c.id = exclusion.id)
WHERE EXISTS (SELECT 1 FROM correction c
              WHERE c.id = exclusion.id AND c.agreed_at IS NOT NULL AND c.state = 'approved');
