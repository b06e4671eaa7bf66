BEGIN TRANSACTION;
CREATE TABLE blobs (digest TEXT NOT NULL, kind TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (digest, kind));
INSERT INTO "blobs" VALUES('sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','outline 1',X'64617461');
CREATE TABLE entries (
        digest TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, filename TEXT NOT NULL,
        wheel_size INTEGER NOT NULL, unpacked_size INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO "entries" VALUES('sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','sample','1.0','Sample-1.0-cp312-cp312-linux_x86_64.whl',1234,42);
CREATE TABLE uses (
        digest TEXT NOT NULL, tag TEXT NOT NULL, stamp INTEGER NOT NULL, files INTEGER NOT NULL,
        folders INTEGER NOT NULL, disk_bytes INTEGER NOT NULL, PRIMARY KEY (digest, tag)
    ) WITHOUT ROWID;
INSERT INTO "uses" VALUES('sha256:0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f','',0,7,9,65536);
COMMIT;
