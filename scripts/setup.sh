#!/bin/sh
# Find a suitable Python, or say what is missing; scripts/install.py does the rest.
#
#   sh scripts/setup.sh          make or repair .venv; at once when all is there
#   sh scripts/setup.sh --find   print the Python that would be used
#
# PYTHON=... picks the interpreter.

set -eu
unset PYTHONPATH PYTHONHOME CDPATH

root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"

tab=$(printf '\t')

die() {
    printf 'setup: %s\n' "$1" >&2
    shift
    for line; do
        printf '       %s\n' "$line" >&2
    done
    exit 1
}

# Prints: verdict, version, path. Runs on Python 2 as well, to name its version.
probe_code='
import platform, struct, sys
v = sys.version_info
name = "%d.%d.%d" % (v[0], v[1], v[2])
machine = platform.machine()
verdict = "ok"
exe = sys.executable
if not ((3, 11) <= tuple(v[:2]) < (3, 14)):
    verdict = "version"
elif platform.python_implementation() != "CPython":
    verdict, name = "kind", name + " (" + platform.python_implementation() + ")"
elif __import__("sysconfig").get_config_var("Py_GIL_DISABLED"):
    verdict, name = "kind", name + " (free-threaded)"
elif struct.calcsize("P") != 8:
    verdict, name = "kind", name + " (32-bit)"
elif platform.system() == "Darwin" and machine != "arm64":
    verdict, name = "mac", name + " (" + machine + ")"
elif platform.system() != "Darwin" and machine not in ("x86_64", "aarch64"):
    verdict, name = "machine", name + " (" + machine + ")"
else:
    try:
        import venv, ensurepip
    except ImportError:
        verdict = "venv"
    if sys.prefix != sys.base_prefix:
        exe = getattr(sys, "_base_executable", None) or exe
sys.stdout.write("\t".join((verdict, name, exe)) + "\n")
'

# probe PYTHON: sets verdict, version and exe; fails when it does not run.
probe() {
    answer=$("$1" -E -s -c "$probe_code" 2>/dev/null </dev/null) || return 1
    IFS=$tab read -r verdict version exe <<END
$answer
END
    [ -n "$exe" ]
}

# Sets python and version, or explains on stderr why there is none.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        probe "$PYTHON" || die "PYTHON=$PYTHON does not run."
        [ "$verdict" = ok ] || refuse "PYTHON=$PYTHON is" "$version"
        python=$exe
        return
    fi
    found=
    no_venv=
    worst=version
    for name in python3.12 python3.13 python3.11 python3 python; do
        ! try "$name" || return 0
    done
    # Installed, but not the one that the shell's `python3` means.
    if base=$(pyenv root 2>/dev/null </dev/null); then
        for name in "$base"/versions/3.12* "$base"/versions/3.1[13]*; do
            ! try "$name/bin/python" || return 0
        done
    fi
    if name=$(UV_PYTHON_DOWNLOADS=never uv python find --no-project --system \
        '>=3.11,<3.14' 2>/dev/null </dev/null); then
        ! try "$name" || return 0
    fi
    base=${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/uv/python}
    for name in "$base"/cpython-3.12* "$base"/cpython-3.1[13]*; do
        ! try "$name/bin/python3" || return 0
    done

    if [ -n "$no_venv" ]; then
        verdict=venv
        refuse "found Python" "$no_venv"
    fi
    verdict=$worst
    refuse "found" "${found:-none}"
}

# try PYTHON: true when it suits; otherwise remembers what it is.
try() {
    command -v "$1" >/dev/null 2>&1 && probe "$1" || return 1
    case $verdict in
    ok)
        python=$exe
        return 0
        ;;
    venv) no_venv=${no_venv:-$version} ;;
    mac | machine) worst=$verdict ;;
    esac
    case ", $found, " in
    *", $version, "*) ;;
    *) found=${found:+$found, }$version ;;
    esac
    return 1
}

# refuse WHAT VERSION: the line for $verdict, and a second with what helps.
refuse() {
    case $verdict in
    venv)
        minor=${2%.*}
        if [ "$(uname -s)" = Darwin ]; then
            die "$1 $2, but without the modules venv and ensurepip: brew reinstall python@$minor"
        fi
        die "$1 $2, but without the modules venv and ensurepip: sudo apt install python$minor-venv"
        ;;
    mac)
        die "TensorFlow has no packages for Intel Python on macOS, only for arm64 (Apple silicon); $1 $2." \
            "On an Apple silicon Mac, with Homebrew for arm64: brew install python@3.12"
        ;;
    machine)
        die "TensorFlow has packages for x86_64 and aarch64 only; $1 $2."
        ;;
    esac
    if [ "$(uname -s)" = Darwin ]; then
        hint="brew install python@3.12"
    elif [ "$2" = none ]; then
        hint="sudo apt install python3 python3-venv"
    elif command -v uv >/dev/null 2>&1; then
        hint="uv python install 3.12"
    else
        # The distribution's own is out of range; uv brings one that is not.
        hint="sudo apt install pipx && pipx run uv python install 3.12"
    fi
    die "needed is a 64-bit Python 3.11, 3.12 or 3.13; $1 $2." "Install one: $hint"
}

case ${1:-} in
'') ;;
--find)
    find_python
    printf '%s\n' "$python"
    exit 0
    ;;
*) die "unknown argument: $1 (there is only --find)" ;;
esac

# Without PYTHON, what .venv has is good enough; install.py ends with 75 when .venv
# must be made anew.
if [ -z "${PYTHON:-}" ] && [ -f .venv/.installed ] &&
    .venv/bin/python -I -S -c '' >/dev/null 2>&1 </dev/null; then
    status=0
    .venv/bin/python -I -S scripts/install.py --refresh || status=$?
    [ "$status" -eq 75 ] || exit "$status"
fi
find_python
exec "$python" -E -s scripts/install.py
