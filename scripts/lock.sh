#!/bin/sh
# Resolve pyproject.toml into the hashed locks of requirements/. Pins stay as they are unless told otherwise:
#   scripts/lock.sh                     after a change of the dependencies
#   scripts/lock.sh --upgrade           take what is newest
#   scripts/lock.sh --upgrade-package X take the newest X
# The locks name no host: they work with whatever index pip and uv are set up for.
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-uv}

lock() { # lock NAME ARGUMENT...
    name=$1
    shift
    file=requirements/$name.txt
    printf '  %s\n' "$file"
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --output-file "$file" "$@" >/dev/null
    # uv reads the pins of the old file above, and writes it whole: the header goes on top again each time.
    {
        echo "# Written by 'make lock': change pyproject.toml (or requirements/*.in) instead."
        cat "$file"
    } >"$file.new"
    mv "$file.new" "$file"
}

lock base pyproject.toml "$@"
# Each lock is constrained by the one below it, so that all of them fit into one environment.
lock test pyproject.toml --extra test --constraints requirements/base.txt "$@"
lock dev pyproject.toml --extra test --extra dev --constraints requirements/test.txt "$@"
lock build requirements/build.in --excludes requirements/build.excludes --constraints requirements/test.txt "$@"
