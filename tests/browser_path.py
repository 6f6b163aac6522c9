"""The browser that the tests drive: one of the system's, otherwise the one that Playwright installed.

Run as a module, this prints its path, or fails if there is none.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path

# The shell is Chromium without visible windows: it loads a page with half of the work.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# Features that no test needs. Each window of Chromium loads two internal pages for the suggestions below a typed
# address, and a process is kept ready for the next site. The features that are switched off are one list, so it
# repeats those that Playwright switches off.
PLAYWRIGHT_SWITCHES_OFF = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
)
WE_SWITCH_OFF = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "SpareRendererForSitePerProcess")
ARGUMENTS = (f"--disable-features={','.join((*PLAYWRIGHT_SWITCHES_OFF, *WE_SWITCH_OFF))}",)


@functools.cache
def browser_path() -> Path | None:
    """The browser's path; `TEST_BROWSER` names one."""
    if given := os.environ.get("TEST_BROWSER"):
        return Path(given)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    for application in APPLICATIONS:
        if Path(application).exists():
            return Path(application)
    from playwright.sync_api import sync_playwright  # It takes a while to import.

    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.exists() else None


def main() -> int:
    path = browser_path()
    if path is None:
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
