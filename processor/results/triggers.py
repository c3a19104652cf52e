"""What a person corrects, by whatever tool, is counted at once, in what the page says of its rows."""

_COUNTED = {
    "numbers": {
        "accepted_count": "CASE WHEN {row}.status = 'accepted' THEN 1 ELSE 0 END",
        "review_count": "CASE WHEN {row}.status = 'review' THEN 1 ELSE 0 END",
        "expected_wrong": "CASE WHEN {row}.status = 'accepted' THEN 1 - {row}.confidence ELSE 0 END",
    },
    "digits": {
        "digit_count": "CASE WHEN {row}.status = 'rejected' THEN 0 ELSE 1 END",
        "digit_review_count": "CASE WHEN {row}.status = 'review' THEN 1 ELSE 0 END",
        "rejected_count": "CASE WHEN {row}.status = 'rejected' THEN 1 ELSE 0 END",
    },
}
_WATCHED = {"numbers": "status, confidence", "digits": "status"}


def recounting(dialect: str) -> list[str]:
    """The statements that make the triggers on a database of this kind.

    They look at changed rows alone: a page is stored with its counts, and goes with them; `processor verify`
    finds out where somebody added or removed single rows.
    """
    made = []
    for table, counted in _COUNTED.items():
        changed = ", ".join(
            f"{name} = {name} - {sql.format(row='OLD')} + {sql.format(row='NEW')}"
            for name, sql in counted.items()
        )
        recount = f"UPDATE pages SET {changed} WHERE id = NEW.page_id"
        when = f"AFTER UPDATE OF {_WATCHED[table]} ON {table} FOR EACH ROW"
        if dialect == "postgresql":
            does = f"RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {recount}; RETURN NULL; END $$"
            made.append(f"CREATE OR REPLACE FUNCTION recount_{table}() {does}")
            does = f"EXECUTE FUNCTION recount_{table}()"
            made.append(f"CREATE OR REPLACE TRIGGER recount_{table} {when} {does}")
        else:
            made.append(f"CREATE TRIGGER IF NOT EXISTS recount_{table} {when} BEGIN {recount}; END")
    return made
