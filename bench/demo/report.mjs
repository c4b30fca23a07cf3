/**
 * From the server to its parent, through a pipe. Written synchronously: a write that has returned is with the kernel, and the
 * parent will read it though this process be killed the moment after.
 */

import { writeFileSync } from 'node:fs'

/** Set up by the parent, see server-run.mjs. */
const PIPE = 3

let lines = ''

/** Sends a record at the end of this turn of the event loop, together with what else the turn brings. */
export function report(record) {
  if (lines === '') setImmediate(send)
  lines += `${JSON.stringify(record)}\n`
}

function send() {
  const ready = lines
  lines = ''
  writeFileSync(PIPE, ready)
}
