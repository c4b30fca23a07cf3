/** Entry of the writer thread. */

import { parentPort, workerData } from 'node:worker_threads'
import { runWriter, type WriterStart } from '../src/writer/run-writer.js'

void runWriter(workerData as WriterStart, (message) => parentPort?.postMessage(message))
