/** The first thing that a page runs: from here "script start" counts. */
globalThis.scriptStart ??= performance.now();
