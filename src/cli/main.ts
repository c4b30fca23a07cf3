#!/usr/bin/env node
/** The command `ringwal`. */

import { run } from './program.js'

void run(process.argv)
