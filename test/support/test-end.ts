import { onTestFinished } from 'vitest'
import { leaveTo } from './leftovers.js'

// For every test file: what it starts, mounts and makes is gone after the test that did.
leaveTo((undo) => onTestFinished(async () => void (await undo())))
