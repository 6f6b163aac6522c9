#!/bin/sh
# Make sure that there is a browser for the tests: one that is there, else Debian's, else Playwright's own.
#   scripts/browser.sh .venv/bin/python
set -eu
python=$1

if found=$("$python" -m tests.browser_path); then
    printf 'Browser for the tests: %s\n' "$found"
    exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then as_root='sudo -n'; fi

if command -v apt-get >/dev/null && $as_root true 2>/dev/null; then
    echo 'Installing chromium and fonts with apt (about a minute)'
    log=$(mktemp)
    # The shell without windows is quicker; not every apt has it.
    if $as_root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -q &&
        for browser in chromium-headless-shell chromium; do
            apt-get install -y -q $browser fonts-inter fonts-noto-core && exit
        done' >"$log" 2>&1 </dev/null &&
        found=$("$python" -m tests.browser_path); then
        rm -f "$log"
        printf 'Browser for the tests: %s\n' "$found"
        exit 0
    fi
    # Ubuntu's apt offers chromium as a snap only, which may not start here.
    tail -n 5 "$log"
    rm -f "$log"
    echo 'apt did not bring a browser.'
fi

echo "Installing Playwright's chromium (about a minute)"
if [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; then
    "$python" -m playwright install --with-deps chromium
else
    "$python" -m playwright install chromium
fi
"$python" -m tests.browser_path
