#!/usr/bin/env python3
"""An independent reader of audit logs:  audit.py FILE

Prints each line's "verb", "of", "who", "request" and "dry_run" as JSON; exit 1 if a line's hash is not that of the hash before
it and what stands before its own.
"""
import hashlib, json, pathlib, re, sys

last = ""
for number, line in enumerate(pathlib.Path(sys.argv[1]).read_text().splitlines(), 1):
    body, told = re.fullmatch(r'(.*,)"hash":"([0-9a-f]{64})"\}', line).groups()
    if hashlib.sha256((last + body).encode()).hexdigest() != told:
        sys.exit(f"line {number}: the chain is broken")
    entry, last = json.loads(line), told
    print(json.dumps({key: entry[key] for key in ("at_ms", "verb", "of", "who", "request", "dry_run")}))
