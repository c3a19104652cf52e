-- What the last version made whose tables bore no number; `sqlite3 results.db .dump`.
BEGIN TRANSACTION;
CREATE TABLE corrections (
	id INTEGER NOT NULL, 
	digit_id INTEGER, 
	number_id INTEGER, 
	was TEXT, 
	now TEXT, 
	at DATETIME NOT NULL, 
	"by" TEXT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(digit_id) REFERENCES digits (id) ON DELETE SET NULL, 
	FOREIGN KEY(number_id) REFERENCES numbers (id) ON DELETE SET NULL
);
INSERT INTO "corrections" VALUES(1,1,1,'1','7','2026-03-01 12:00:00.000000','me');
CREATE TABLE digits (
	id INTEGER NOT NULL, 
	page_id INTEGER NOT NULL, 
	number_id INTEGER, 
	position INTEGER NOT NULL, 
	digit VARCHAR(1), 
	confidence FLOAT NOT NULL, 
	second VARCHAR(8), 
	second_confidence FLOAT, 
	third VARCHAR(8), 
	third_confidence FLOAT, 
	status VARCHAR(16) NOT NULL, 
	reason TEXT, 
	x INTEGER NOT NULL, 
	y INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	looks_like VARCHAR(8), 
	PRIMARY KEY (id), 
	FOREIGN KEY(page_id) REFERENCES pages (id) ON DELETE CASCADE, 
	FOREIGN KEY(number_id) REFERENCES numbers (id) ON DELETE CASCADE
);
INSERT INTO "digits" VALUES(1,1,1,1,'1',0.9,'7',7.49999999999999833466e-02,'none',2.49999999999999944488e-02,'review',NULL,1,2,3,4,'1');
INSERT INTO "digits" VALUES(2,1,1,2,'2',0.9,'7',7.49999999999999833466e-02,'none',2.49999999999999944488e-02,'review',NULL,1,2,3,4,'2');
INSERT INTO "digits" VALUES(3,1,1,3,'5',0.9,'7',7.49999999999999833466e-02,'none',2.49999999999999944488e-02,'review',NULL,1,2,3,4,'5');
INSERT INTO "digits" VALUES(4,1,1,4,'6',0.9,'7',7.49999999999999833466e-02,'none',2.49999999999999944488e-02,'review',NULL,1,2,3,4,'6');
INSERT INTO "digits" VALUES(5,1,2,1,'7',0.9,'1',7.49999999999999833466e-02,'none',2.49999999999999944488e-02,'accepted',NULL,1,2,3,4,'7');
INSERT INTO "digits" VALUES(6,1,NULL,1,NULL,0.0,NULL,NULL,NULL,NULL,'rejected','speck: height 0.4, limit 1',1,2,3,4,NULL);
CREATE TABLE models (
	name VARCHAR(200) NOT NULL, 
	sha256 VARCHAR(64), 
	manifest JSON, 
	first_used_at DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "models" VALUES('cnn-a','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','{"name": "cnn-a"}','2026-03-01 12:00:01.000000');
CREATE TABLE numbers (
	id INTEGER NOT NULL, 
	page_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	digits TEXT NOT NULL, 
	confidence FLOAT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	field TEXT, 
	x INTEGER NOT NULL, 
	y INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT one_row_a_number UNIQUE (page_id, position), 
	FOREIGN KEY(page_id) REFERENCES pages (id) ON DELETE CASCADE
);
INSERT INTO "numbers" VALUES(1,1,1,'1256','1256',0.9,'review',NULL,1,2,3,4);
INSERT INTO "numbers" VALUES(2,1,2,'7','7',0.9,'accepted',NULL,1,2,3,4);
CREATE TABLE pages (
	id INTEGER NOT NULL, 
	scan_id INTEGER NOT NULL, 
	page INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	dpi FLOAT, 
	skew_degrees FLOAT NOT NULL, 
	form TEXT, 
	annotated TEXT, 
	PRIMARY KEY (id), 
	CONSTRAINT one_row_a_page UNIQUE (scan_id, page), 
	FOREIGN KEY(scan_id) REFERENCES scans (id) ON DELETE CASCADE
);
INSERT INTO "pages" VALUES(1,1,1,2480,3508,300.0,-0.5,NULL,NULL);
CREATE TABLE refused_models (
	id INTEGER NOT NULL, 
	name VARCHAR(200), 
	reason TEXT NOT NULL, 
	in_use VARCHAR(200) NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "refused_models" VALUES(1,'bad','no weights','cnn-a','2026-03-01 12:00:00.000000');
CREATE TABLE scans (
	id INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	file TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	bytes BIGINT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempts INTEGER NOT NULL, 
	error TEXT, 
	message TEXT, 
	queued_at DATETIME NOT NULL, 
	started_at DATETIME, 
	finished_at DATETIME, 
	leased_until DATETIME, 
	worker TEXT, 
	seconds FLOAT, 
	model VARCHAR(200), 
	settings_digest VARCHAR(64), 
	program_version VARCHAR(64), 
	duplicate_of INTEGER, 
	PRIMARY KEY (id), 
	CONSTRAINT one_row_a_place_and_content UNIQUE (source, file, sha256), 
	FOREIGN KEY(model) REFERENCES models (name), 
	FOREIGN KEY(duplicate_of) REFERENCES scans (id)
);
INSERT INTO "scans" VALUES(1,'/inbox','a.png','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',9,'done',1,NULL,NULL,'2026-03-01 12:00:00.000000','2026-03-01 12:00:00.000000','2026-03-01 12:00:01.000000',NULL,NULL,0.25,'cnn-a','0123456789ab','0.1.0',NULL);
INSERT INTO "scans" VALUES(2,'/inbox','copy/a.png','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',9,'duplicate',0,NULL,NULL,'2026-03-01 12:00:00.000000',NULL,'2026-03-01 12:00:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,1);
INSERT INTO "scans" VALUES(3,'/inbox','broken.png','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',9,'failed',1,'BadScan','broken.png is empty.','2026-03-01 12:00:00.000000','2026-03-01 12:00:00.000000','2026-03-01 12:00:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "scans" VALUES(4,'/inbox','waits.png','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',9,'queued',0,NULL,NULL,'2026-03-01 12:00:00.000000',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "scans" VALUES(5,'/inbox','read.png','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd',9,'running',1,NULL,NULL,'2026-03-01 12:00:00.000000',NULL,NULL,'2026-03-01 12:00:00.000000','elsewhere:1',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE two_readings (
	number_id INTEGER NOT NULL, 
	first TEXT NOT NULL, 
	first_confidence FLOAT, 
	second TEXT NOT NULL, 
	second_confidence FLOAT NOT NULL, 
	winner VARCHAR(16) NOT NULL, 
	PRIMARY KEY (number_id), 
	FOREIGN KEY(number_id) REFERENCES numbers (id) ON DELETE CASCADE
);
INSERT INTO "two_readings" VALUES(1,'1250',0.31,'1256',0.88,'second');
CREATE INDEX scans_by_state ON scans (state, attempts, id);
CREATE UNIQUE INDEX one_reading_a_content ON scans (sha256) WHERE state != 'duplicate';
CREATE INDEX scans_by_finish ON scans (finished_at);
CREATE INDEX scans_by_first ON scans (duplicate_of);
CREATE INDEX scans_by_file ON scans (file);
CREATE INDEX numbers_by_status ON numbers (status);
CREATE INDEX digits_by_status ON digits (status);
CREATE INDEX digits_by_page ON digits (page_id, number_id, position);
CREATE INDEX digits_by_number ON digits (number_id, position);
CREATE INDEX ix_corrections_number_id ON corrections (number_id);
CREATE INDEX ix_corrections_digit_id ON corrections (digit_id);
CREATE VIEW readings AS SELECT scans.file, pages.page, numbers.position, numbers.text, numbers.digits, numbers.confidence, numbers.status, numbers.field, numbers.x, numbers.y, numbers.width, numbers.height, scans.model, scans.id AS scan_id 
FROM scans JOIN pages ON pages.scan_id = scans.id JOIN numbers ON numbers.page_id = pages.id;
CREATE VIEW digit_readings AS SELECT scans.file, pages.page, digits.position, digits.digit, digits.confidence, digits.status, digits.reason, digits.x, digits.y, digits.width, digits.height, digits.number_id, scans.id AS scan_id 
FROM scans JOIN pages ON pages.scan_id = scans.id JOIN digits ON digits.page_id = pages.id;
COMMIT;
