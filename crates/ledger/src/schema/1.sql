CREATE TABLE ban (
  family INTEGER NOT NULL,
  address INTEGER NOT NULL,
  prefix INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  feed TEXT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  level INTEGER NOT NULL,
  scope INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  evidence INTEGER NOT NULL,
  PRIMARY KEY (family, address, prefix, kind, feed)
) STRICT, WITHOUT ROWID;
CREATE INDEX ban_until ON ban (until) WHERE until IS NOT NULL;

CREATE TABLE past (
  id INTEGER PRIMARY KEY,
  family INTEGER NOT NULL,
  address INTEGER NOT NULL,
  prefix INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  feed TEXT NOT NULL,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  level INTEGER NOT NULL,
  scope INTEGER NOT NULL,
  dropped INTEGER NOT NULL,
  evidence INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  who TEXT,
  note TEXT
) STRICT;
CREATE INDEX past_source ON past (family, address, prefix);

CREATE TABLE evidence (
  id INTEGER PRIMARY KEY,
  family INTEGER NOT NULL,
  address INTEGER NOT NULL,
  prefix INTEGER NOT NULL,
  time INTEGER NOT NULL,
  detector TEXT NOT NULL,
  detail TEXT NOT NULL,
  line TEXT
) STRICT;
CREATE INDEX evidence_source ON evidence (family, address, prefix);

CREATE TABLE trust (
  what TEXT PRIMARY KEY,
  note TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tally (
  kind INTEGER NOT NULL,
  feed TEXT NOT NULL,
  reason TEXT NOT NULL,
  bans INTEGER NOT NULL,
  PRIMARY KEY (kind, feed, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE size (
  what TEXT PRIMARY KEY,
  rows INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO size VALUES ('past', 0), ('evidence', 0);

CREATE VIEW read_ban AS SELECT
  iif(family = 4,
    printf('%d.%d.%d.%d', address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255),
    printf('%x:%x:%x:%x::', address >> 48 & 65535, address >> 32 & 65535, address >> 16 & 65535, address & 65535)
  ) || iif(family = 4 AND prefix = 32, '', '/' || prefix) AS source,
  CASE kind WHEN 0 THEN 'operator' WHEN 1 THEN 'detector' ELSE 'feed:' || feed END AS banned_by,
  reason,
  detail,
  datetime(since / 1000000, 'unixepoch') AS since,
  datetime(until / 1000000, 'unixepoch') AS until,
  level,
  iif(scope = 0, 'sip', 'all') AS ports,
  dropped,
  evidence
FROM ban;

CREATE VIEW read_past AS SELECT
  iif(family = 4,
    printf('%d.%d.%d.%d', address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255),
    printf('%x:%x:%x:%x::', address >> 48 & 65535, address >> 32 & 65535, address >> 16 & 65535, address & 65535)
  ) || iif(family = 4 AND prefix = 32, '', '/' || prefix) AS source,
  CASE kind WHEN 0 THEN 'operator' WHEN 1 THEN 'detector' ELSE 'feed:' || feed END AS banned_by,
  reason,
  detail,
  datetime(since / 1000000, 'unixepoch') AS since,
  datetime(ended / 1000000, 'unixepoch') AS ended,
  iif(who IS NULL, 'expired', 'unban by ' || who || iif(note = '', '', ': ' || note)) AS why,
  level,
  dropped,
  evidence
FROM past;

CREATE VIEW read_evidence AS SELECT
  iif(family = 4,
    printf('%d.%d.%d.%d', address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255),
    printf('%x:%x:%x:%x::', address >> 48 & 65535, address >> 32 & 65535, address >> 16 & 65535, address & 65535)
  ) || iif(family = 4 AND prefix = 32, '', '/' || prefix) AS source,
  datetime(time / 1000000, 'unixepoch') AS time,
  detector,
  detail,
  line
FROM evidence;
