# Shared by the scripts beside it: where the programs are, and how a person is told that something is missing.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Where the stack comes from is said on the command line here: a setting of the person's must not reach the middle of a
# pipe, where it would cut a tool off from the document.
unset ECS_STACK ECS_NO_INPUT

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "${0##*/}: error: $*"
    exit 1
}

# Puts the directory with the programs at the front of PATH: $ECS_PIPE_BIN, else what was built here last, else
# whatever PATH has already.
find_programs() {
    local directory newest=
    if [[ -n ${ECS_PIPE_BIN:-} ]]; then
        newest=$ECS_PIPE_BIN
    else
        for directory in "${CARGO_TARGET_DIR:-$root/target}"/{release,debug}; do
            if [[ -x $directory/ecs-svc && ( -z $newest || $directory/ecs-svc -nt $newest/ecs-svc ) ]]; then
                newest=$directory
            fi
        done
    fi
    if [[ -n $newest ]]; then
        PATH=$newest:$PATH
    fi
    command -v ecs-svc > /dev/null || fail "the programs are not built: run 'cargo build --workspace' in $root"
}

# The exit code of a pipe: the first real failure's. 7 only says that another program failed before.
cause_of() {
    local status cause=0
    for status in "$@"; do
        if [[ $status -ne 0 && ( $cause -eq 0 || $cause -eq 7 || $cause -eq 141 ) ]]; then
            cause=$status
        fi
    done
    return "$cause"
}

# Makes the project's virtual environment with the emulator in it, unless it is there.
make_venv() {
    local venv=$root/.venv version
    version=$(moto_version)
    if [[ -x $venv/bin/python3 && $("$venv/bin/python3" -c 'import moto; print(moto.__version__)' 2> /dev/null) == "$version" ]]; then
        return
    fi
    command -v python3 > /dev/null || fail "Python 3 is missing: apt-get install python3 python3-venv"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "Python 3.10 or newer is needed, this is $(python3 --version)"
    python3 -c 'import venv, ensurepip' 2> /dev/null || fail "Python's venv module is missing: apt-get install python3-venv"
    say "installing moto $version into $venv"
    python3 -m venv "$venv" || fail "no virtual environment could be made in $venv: apt-get install python3-venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$root/tests/requirements.txt" \
        || fail "moto could not be installed: is PyPI reachable?"
}

# Makes an environment of its own for another tool, whose pins do not fit beside moto's, unless it is there, and puts it
# into PATH: `add_tool bench-venv awscli==1.45.11`.
add_tool() {
    local venv=${CARGO_TARGET_DIR:-$root/target}/$1 package=$2
    if [[ $("$venv/bin/pip" freeze 2> /dev/null) != *"$package"* ]]; then
        say "installing $package into $venv"
        python3 -m venv "$venv" || fail "no virtual environment could be made in $venv: apt-get install python3-venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$package" || fail "$package could not be installed: is PyPI reachable?"
    fi
    PATH=$venv/bin:$PATH
}

# The version that tests/requirements.txt pins.
moto_version() {
    sed -n 's/^moto==//p' "$root/tests/requirements.txt"
}

# Says what a build needs and does not find.
check_compiler() {
    command -v cargo > /dev/null || fail "Rust is missing: install it from https://rustup.rs, then run this again"
    command -v cc > /dev/null || fail "a C compiler is missing: apt-get install build-essential"
}
