#!/usr/bin/env node
/** The entry point. `bin/sealpost` starts it with the cache of compiled code (`bin/compile-cache.cjs`). */
import './commands/main.ts';
