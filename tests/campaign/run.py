"""Runs lines of the campaign, portion by portion, and keeps what was tried in results.tsv."""

import argparse
import contextlib
import datetime
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
from lines import LINES, Line  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tests/campaign/results.tsv"
COLUMNS = ["line", "time", "commit", "count", "failed", "seconds", "note"]
DEFAULT_S = 50 * 60
BROKEN = re.compile(r"\bcase (\d+): *(.*)")
COUNTED = re.compile(r"^counted ([^:]+): (\d+)$", re.MULTILINE)
RAN = re.compile(r"^running (\d+) tests?$", re.MULTILINE)
SKIPPED = re.compile(r"^skipped: ", re.MULTILINE)
WORDS_MAX = 160  # of what is kept of a break
NOTES_MAX = 50


def say(words: str) -> None:
    print(f"campaign: {words}", file=sys.stderr, flush=True)


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text}: such as 90s, 50m, 2h")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600, "": 1}[found[2]]


def arguments() -> argparse.Namespace:
    table = "\n".join(f"  {line.name:8} {line.case}" for line in LINES)
    parser = argparse.ArgumentParser(
        prog="scripts/campaign",
        description="Runs lines of the list of faults, going on behind what results.tsv says was tried.",
        epilog=f"lines (F6 means all that begin with F6/), and what a case of each is:\n{table}\n\n"
        "Ends with 1 if a case broke. One case again: CARRICK_CASES=N..N+1 cargo test, see tests/campaign/README.md.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("lines", metavar="LINE", nargs="+")
    parser.add_argument("--for", dest="seconds", type=seconds, metavar="TIME", help="for all lines together; 50m if no --count")
    parser.add_argument("--count", type=int, metavar="N", help="cases of each line")
    parser.add_argument("--results", type=Path, default=os.environ.get("CARRICK_RESULTS", RESULTS), metavar="FILE",
                        help="instead of tests/campaign/results.tsv; also CARRICK_RESULTS")
    parser.add_argument("--needs", action="store_true", help=argparse.SUPPRESS)
    if "-h" in sys.argv[1:] or "--help" in sys.argv[1:]:
        if "--needs" in sys.argv[1:]:
            print("help")
            sys.exit(0)
    asked = parser.parse_args()
    chosen = []
    for name in asked.lines:
        rows = [line for line in LINES if name in (line.name, line.name.split("/")[0])]
        if not rows:
            parser.error(f"there is no line {name}; there are {', '.join(line.name for line in LINES)}")
        chosen += [row for row in rows if row not in chosen]
    asked.lines = chosen
    if asked.seconds is None:
        asked.seconds = float("inf") if asked.count is not None else DEFAULT_S
    return asked


class Results:
    """The table of all chunks: a row is replaced as a whole, by a rename, among whatever others write meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def rows(self) -> list[list[str]]:
        if not self.path.exists():
            return []
        header, *rows = [line.split("\t") for line in self.path.read_text().splitlines()]
        if header != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
            sys.exit(f"campaign: {self.path} is not a table of results")
        return rows

    def tried(self, line: str) -> int:
        return sum(int(row[3]) for row in self.rows() if row[0] == line)

    def put(self, row: list[str]) -> None:
        """A chunk is known by its line and the time of its beginning."""
        with locked(self.path.name):
            rows = self.rows()
            at = next((i for i, known in enumerate(rows) if known[:2] == row[:2]), len(rows))
            rows[at : at + 1] = [row]
            text = "".join("\t".join(fields) + "\n" for fields in [COLUMNS, *rows])
            new = self.path.with_name(self.path.name + ".new")
            with new.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.rename(self.path)


@contextlib.contextmanager
def locked(name: str, wait: bool = True):
    folder = target() / "campaign"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / (name.replace("/", "-") + ".lock")).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            sys.exit(f"campaign: {name} is run by somebody else just now")
        yield


def target() -> Path:
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    dirty = git("status", "--porcelain", "--", ".", ":!tests/campaign/results.tsv")
    return git("rev-parse", "--short", "HEAD") + ("+dirty" if dirty else "")


class Built:
    """Copies of what cargo built: a later build, by whomever, does not change what this chunk tries."""

    def __init__(self, lines: list[Line], folder: Path) -> None:
        self.folder = folder
        self.tests: dict[tuple[str, str], tuple[Path, Path]] = {}
        self.environment = dict(os.environ)
        say("builds")
        wanted = {(line.package, line.target) for line in lines}
        targets = [word for target in sorted({target for _, target in wanted}) for word in ("--test", target)]
        # The whole workspace, so that dependencies have the features that they were built with before.
        for made in cargo("test", "--workspace", "--locked", "--no-run", *targets):
            package = Path(made["manifest_path"]).parent
            key = (self.name(made), made["target"]["name"])
            if made["executable"] and key in wanted and made["target"]["kind"] == ["test"]:
                copy = folder / "-".join(key)
                shutil.copy2(made["executable"], copy)
                self.tests[key] = (copy, package)
        if any("programs" in line.needs for line in lines):
            for made in cargo("build", "--workspace", "--locked", "--bin", "carrickd", "--bin", "carrick"):
                if made["executable"] and made["target"]["kind"] == ["bin"]:
                    shutil.copy2(made["executable"], folder / made["target"]["name"])
            self.environment["CARRICK_DAEMON"] = str(folder / "carrickd")
        missing = wanted - set(self.tests)
        if missing:
            sys.exit(f"campaign: cargo built no test {missing}")

    @staticmethod
    def name(made: dict) -> str:
        # path+file:///…/tests#carrick-tests@0.1.0, or …/crates/carrick-log#0.1.0
        place, _, rest = made["package_id"].partition("#")
        return rest.split("@")[0] if "@" in rest else place.rsplit("/", 1)[-1]

    def run(self, line: Line, names: tuple[str, ...], cases: str | None, exact: bool) -> tuple[bool, str]:
        """Whether it ended well, and what it said. Its whole group is killed when it takes too long."""
        program, folder = self.tests[line.package, line.target]
        environment = dict(self.environment, CARGO_MANIFEST_DIR=str(folder), RUST_BACKTRACE="0")
        if cases is not None:
            environment["CARRICK_CASES"] = cases
        arguments = [str(program), *names, "--nocapture", *(["--exact"] if exact else [])]
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            running = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT,
                                       stdin=subprocess.DEVNULL, start_new_session=True)
            try:
                ended = running.wait(line.limit_s)
                words = f"ended by {ended}\n"
            except subprocess.TimeoutExpired:
                ended, words = None, f"did not end within {line.limit_s} s\n"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
                running.wait()
            said.seek(0)
            text = said.read()
        ran = RAN.search(text)
        if ended == 0 and (not ran or int(ran[1]) < len(names)):
            return False, f"{text}no test is called {' or '.join(names)}\n"
        if ended == 0 and SKIPPED.search(text):
            return False, f"{text}it skipped itself\n"
        return ended == 0, text + words


def cargo(*words: str) -> list[dict]:
    """What it made."""
    asked = ["cargo", *words, "--message-format=json-render-diagnostics"]
    built = subprocess.run(asked, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode:
        sys.exit("campaign: it does not build")
    made = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return [it for it in made if it["reason"] == "compiler-artifact"]


class Chunk:
    """One line in one invocation."""

    def __init__(self, line: Line, results: Results, code: str) -> None:
        self.line, self.results, self.code = line, results, code
        self.began = time.monotonic()
        self.at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.next = results.tried(line.name)
        self.count = self.failed = 0
        self.notes: list[str] = []
        self.counted: dict[str, int] = {}

    def run(self, built: Built, until: float, count: int | None) -> bool:
        line = self.line
        for name in line.first:
            well, said = built.run(line, (name,), None, exact=False)
            if not well:
                self.broke(f"{name} {last_words(said)}", said)
                self.keep()
                return False
        while time.monotonic() < until and (count is None or self.count < count):
            portion = line.portion if count is None else min(line.portion, count - self.count)
            self.portion(built, self.next, self.next + portion)
        say(f"{line.name}: {self.count} cases, {self.failed} failed, {time.monotonic() - self.began:.0f} s")
        return self.failed == 0

    def portion(self, built: Built, start: int, end: int) -> None:
        well, said = built.run(self.line, self.line.tests, f"{start}..{end}", exact=True)
        told = said.endswith("ended by 101\n")  # as tests fail, not as a process that is killed, by a signal or by us
        if not well:
            broken = {int(case): words for case, words in BROKEN.findall(said) if start <= int(case) < end}
            for case, words in sorted(broken.items()):
                self.broke(f"case {case}: {words}", said)
            if not broken or not told:
                self.broke(f"cases {start}..{end}: {last_words(said)}", said)
            else:
                end = max(broken) + 1
        for name, number in COUNTED.findall(said):
            self.counted[name] = self.counted.get(name, 0) + int(number)
        self.count += end - start
        self.next = end
        self.keep()

    def broke(self, words: str, said: str) -> None:
        self.failed += 1
        # Kept for others: no place of this machine.
        self.notes.append(" ".join(words.replace(f"{ROOT}/", "").split())[:WORDS_MAX])
        kept = target() / "campaign" / f"{self.line.name.replace('/', '-')}-{self.next}.txt"
        kept.write_text(said)
        say(f"{self.line.name}: {self.notes[-1]} (all it said: {kept})")

    def keep(self) -> None:
        counted = [f"{name} {number}" for name, number in sorted(self.counted.items())]
        more = [f"and {len(self.notes) - NOTES_MAX} more"] if len(self.notes) > NOTES_MAX else []
        note = "; ".join([*self.notes[:NOTES_MAX], *more, *counted]).replace("\t", " ")
        took = f"{time.monotonic() - self.began:.0f}"
        self.results.put([self.line.name, self.at, self.code, str(self.count), str(self.failed), took, note])


def last_words(said: str) -> str:
    """What a reader would look at: the last panic, and how it ended."""
    lines = [line for line in said.splitlines() if line.strip()]
    panics = [lines[i + 1] for i, line in enumerate(lines[:-1]) if " panicked at " in line]
    return " ".join([*panics[-1:], *lines[-1:]])


def main() -> int:
    asked = arguments()
    if asked.needs:
        print(*sorted({need for line in asked.lines for need in line.needs}))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("campaign: told to end"))  # what runs is killed, too
    results, began, well = Results(asked.results), time.monotonic(), True
    with tempfile.TemporaryDirectory(prefix="carrick-campaign-") as folder:
        code = commit()
        built = Built(asked.lines, Path(folder))
        began = time.monotonic()
        for i, line in enumerate(asked.lines, 1):
            with locked(line.name, wait=False):
                chunk = Chunk(line, results, code)
                say(f"{line.name} from case {chunk.next}: {line.case}")
                well &= chunk.run(built, began + asked.seconds * i / len(asked.lines), asked.count)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
