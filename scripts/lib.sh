# Helpers that the scripts here source. Data goes to stdout, words to stderr.
#
#   say WORDS            a line of progress
#   step WORDS           a headline, with the seconds since the script began
#   die WORDS [COMMAND]  ends the script; COMMAND is the one thing to type next
#   once DIR FUNCTION    makes DIR by FUNCTION, unless it is there: FUNCTION fills the empty folder $1, which is then
#                        renamed to DIR, so that DIR is whole or absent; a second caller waits for the first. Ends the
#                        script if FUNCTION fails: not to be called where bash ignores that (if, &&, ||)
#   debs_into DIR PKG    unpacks a Debian package, and those it needs that are not installed, without root
#   pip_into DIR ARGS..  pip install --target DIR, without root and without a virtual environment
#
# What is made is kept in $cache, outside the clone: CARRICK_CACHE, or carrick in the user's cache folder.

# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CARRICK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/carrick}
script=$(basename "$0")

say() { printf '%s: %s\n' "$script" "$*" >&2; }
step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS" >&2; }
die() {
  say "$1"
  [ $# -lt 2 ] || say "type: $2"
  exit 1
}

once() {
  [ ! -d "$1" ] || return 0
  mkdir -p "$(dirname "$1")"
  (
    flock -n 9 || { say "another run is making $1, waiting"; flock 9; }
    [ ! -d "$1" ] || exit 0
    rm -rf "$1".?????? # of a run that was killed
    new=$(mktemp -d "$1.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    "$2" "$new"
    chmod 755 "$new"
    mv -T "$new" "$1"
  ) 9>"$1.lock"
}

debs_into() {
  local dir=$1 package=$2 work options
  command -v apt-get >/dev/null || die "$package is missing, and this is not Debian or Ubuntu: install it by hand"
  work=$dir/.debs
  mkdir "$work"
  options=(-qq -o "APT::Sandbox::User=$(id -un)" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
  if ! apt-cache show "$package" >/dev/null 2>&1; then # no package lists, as in a fresh container: make our own
    say "fetching package lists"
    mkdir -p "$work/lists/partial"
    options+=(-o "Dir::State::lists=$work/lists")
    apt-get "${options[@]}" update >&2 || true
  fi
  (
    # shellcheck disable=SC2086
    cd "$work" &&
      needed=$(apt-get "${options[@]}" install --simulate --no-install-recommends "$package" | awk '/^Inst/ { print $2 }') &&
      apt-get "${options[@]}" download $needed >&2 &&
      for deb in ./*.deb; do dpkg -x "$deb" .. || exit; done
  ) || die "could not fetch Debian's package $package" "sudo apt-get update && sudo apt-get install -y $package"
  rm -rf "$work"
}

pip_into() {
  local dir=$1 pip=(python3 -m pip) own
  shift
  command -v python3 >/dev/null || die "python3 is missing" "sudo apt-get install -y python3"
  if ! "${pip[@]}" --version >/dev/null 2>&1; then # Debian splits pip off, but has it as a wheel, which runs unpacked
    own=$dir/.pip
    mkdir -p "$own"
    debs_into "$own" python3-pip-whl
    pip=(env PYTHONPATH="$(echo "$own"/usr/share/python-wheels/pip-*.whl)" python3 -m pip)
  fi
  "${pip[@]}" install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action=ignore \
    --only-binary :all: --target "$dir" "$@" >&2 ||
    die "pip could not install $*" "python3 -m pip download ${!#}"
  [ -z "${own:-}" ] || rm -rf "$own"
}
