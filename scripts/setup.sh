#!/bin/sh
# Make .venv: the packages of requirements.txt and this package, nothing else.
#
#   sh scripts/setup.sh          make or repair .venv; at once when all is there
#   sh scripts/setup.sh --find   print the Python that would be used
#
# PYTHON=... picks the interpreter. pip's own settings (proxy, index) count.
# .venv/.installed is written last and says what was installed; without it,
# or when it says something else, .venv is made anew.

set -eu
unset PYTHONPATH PYTHONHOME CDPATH
# These would send the packages somewhere else than into .venv.
unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER
export PIP_USER=0

root=$(cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"

stamp=.venv/.installed
log=.venv/install.log
tab=$(printf '\t')

say() {
    printf 'setup: %s\n' "$*"
}

die() {
    printf 'setup: %s\n' "$1" >&2
    shift
    for line; do
        printf '       %s\n' "$line" >&2
    done
    exit 1
}

# --- the interpreter ---------------------------------------------------------

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

# --- what is there already ---------------------------------------------------

checksum() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum "$1"
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256 "$1"
    else
        cksum "$1"
    fi
}

# The minor version of the Python in .venv; nothing when it does not run.
venv_version() {
    .venv/bin/python -I -S -c \
        'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null
}

# --- installing --------------------------------------------------------------

# Keep pip's output in the log, show how far it is.
progress() {
    seen=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
        Collecting\ * | Processing\ *)
            seen=$((seen + 1))
            line=${line#Collecting }
            line=${line%%' (from'*}
            line="$seen of about $total: ${line##*/}"
            line=${line%%;*}
            ;;
        *Downloading\ *.metadata*) continue ;;
        *Downloading\ *)
            # name-version-and-the-rest.whl (size)
            line=${line##*Downloading }
            file=${line%% *}
            rest=${file#*-}
            line="$seen of about $total: ${file%%-*} ${rest%%-*} (${line##*'('}"
            ;;
        Installing\ collected\ packages:\ *,*) line="unpacking into .venv ..." ;;
        *) continue ;;
        esac
        if [ -t 1 ]; then
            printf '\r\033[K  %.74s' "$line"
        else
            # One line in twenty is enough for a log.
            case $line in
            *[02468]0\ of\ about*[!\)] | [!0-9]*) printf '  %s\n' "$line" ;;
            esac
        fi
    done
    if [ -t 1 ]; then
        printf '\r\033[K'
    fi
}

# run_pip ARGUMENTS: pip's exit status, its output in the log.
run_pip() {
    : >"$log"
    {
        status=0
        TMPDIR=$root/.venv/tmp .venv/bin/python -m pip \
            "$@" --disable-pip-version-check --no-input --progress-bar off 2>&1 </dev/null || status=$?
        echo "$status" >.venv/tmp/status
    } | progress
    read -r status <.venv/tmp/status
    return "$status"
}

logged() {
    grep -q -i -E -e "$1" "$log"
}

# Say in one line what stopped pip.
explain() {
    if logged 'DO NOT MATCH THE HASHES|hashes are required|must have their versions pinned'; then
        name=$(sed -n 's/^    \([^ ]*==[^ ]*\) from .*/\1/p' "$log" | head -n 1)
        die "${name:-a package} is not the file that requirements.txt names (its hash differs); nothing was installed. Log: $root/$log" \
            "If requirements.txt is unchanged, run this again after: .venv/bin/python -m pip cache purge"
    elif logged 'No space left on device|Errno 28|Disk quota exceeded'; then
        die "the disk is full; about 4.5 GB are needed. Log: $root/$log" \
            "Make room, then run the same command again."
    elif logged 'CERTIFICATE_VERIFY_FAILED|SSLError'; then
        die "the packages could not be downloaded: the secure connection was refused (a proxy with a certificate of its own?). Log: $root/$log" \
            "Tell pip about the certificate (pip config set global.cert FILE), then run the same command again."
    elif logged 'connection (broken|refused|reset|aborted|timed out)|NewConnectionError|name resolution|name or service not known|nodename nor servname|timed out|TimeoutError|ProxyError|to proxy|max retries|RemoteDisconnected|IncompleteRead|ProtocolError|unreachable|HTTP error|(Server|Client) Error|HTTPError'; then
        die "the packages could not be downloaded. Log: $root/$log" \
            "Check the connection (or the proxy) and run the same command again; finished downloads are kept in pip's cache."
    elif logged 'Could not find a version|No matching distribution'; then
        missing=$(sed -n 's/^ERROR: No matching distribution found for \([^ ]*\).*/\1/p' "$log" | tail -n 1)
        die "the package index offers no ${missing:-package} for this machine and Python $version. Log: $root/$log" \
            "Check pip's index settings (pip config list), or choose another Python: PYTHON=python3.12"
    fi
    last=$(grep -i '^ *error' "$log" | tail -n 1)
    [ -n "$last" ] || last=$(grep . "$log" | tail -n 1)
    die "pip stopped: ${last:-no reason given}" "Log: $root/$log"
}

interrupted() {
    trap - INT TERM HUP
    if [ -t 1 ]; then
        printf '\r\033[K'
    fi
    printf 'setup: interrupted; run the same command again to finish.\n' >&2
    exit 130
}

need_space() {
    free=$(df -Pk . 2>/dev/null | awk 'NR == 2 {
        for (i = 2; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { print $(i - 1); exit }
    }')
    case $free in
    '' | *[!0-9]*) return 0 ;;
    esac
    if [ "$free" -lt 4500000 ]; then
        die "not enough room on the disk: about 4.5 GB are needed, $((free / 1000)) MB are free in $root"
    fi
}

make_venv() {
    rm -rf .venv
    need_space
    mkdir .venv
    say "making .venv with Python $version ($python)"
    if ! "$python" -E -s -m venv .venv >"$log" 2>&1 </dev/null; then
        last=$(grep . "$log" | tail -n 1)
        die "could not make .venv with $python: ${last:-no reason given}" "Log: $root/$log"
    fi
    total=$(grep -c '^[A-Za-z0-9._-]*==' requirements.txt) || total=0
    total=$(((total + 5) / 10 * 10))
    say "Installing about $total packages (about 2.7 GB on disk, TensorFlow most of it) into .venv; this takes a few minutes ..."
    mkdir -p .venv/tmp
    # The lock has a built package for every machine and Python allowed here.
    run_pip install --require-hashes --only-binary :all: --retries 2 \
        -r requirements.txt || explain
}

install_package() {
    log=.venv/package.log
    mkdir -p .venv/tmp
    run_pip install --no-deps --no-build-isolation -e . || explain
    rm -rf .venv/tmp
}

# --- main --------------------------------------------------------------------

version=
case ${1:-} in
'') ;;
--find)
    find_python
    printf '%s\n' "$python"
    exit 0
    ;;
*) die "unknown argument: $1 (there is only --find)" ;;
esac

for file in requirements.txt pyproject.toml; do
    [ -f "$file" ] || die "there is no $file in $root"
done

lock_sum=$(checksum requirements.txt)
package_sum=$(checksum pyproject.toml)
if [ -n "${PYTHON:-}" ]; then
    find_python
    wanted=${version%.*}
fi

have_base=
have_package=
have_version=
if [ -f "$stamp" ]; then
    { IFS= read -r have_base && IFS= read -r have_package; } <"$stamp" || :
    have_version=$(venv_version) || have_version=
fi
base="Python ${wanted:-$have_version} in $root with $lock_sum"

if [ -n "$have_version" ] && [ "$have_base" = "$base" ]; then
    if [ "$have_package" = "$package_sum" ]; then
        exit 0
    fi
    say "pyproject.toml changed: installing the package anew"
    version=$have_version
    python=.venv/bin/python
else
    if [ -d .venv ]; then
        if [ ! -f "$stamp" ]; then
            say "the last installation did not finish: starting over"
        elif [ -z "$have_version" ]; then
            say "the Python of .venv is gone: making .venv anew"
        else
            say "the packages, the Python or the folder changed: making .venv anew"
        fi
    fi
    [ -n "${wanted:-}" ] || find_python
    base="Python ${version%.*} in $root with $lock_sum"
    python_found=1
fi

trap interrupted INT TERM HUP
rm -f "$stamp"
if [ -n "${python_found:-}" ]; then
    make_venv
fi
install_package
printf '%s\n%s\n' "$base" "$package_sum" >"$stamp.new"
mv "$stamp.new" "$stamp"
say "done: .venv has Python $version and all packages."
