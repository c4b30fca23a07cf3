/** Listening as a sign of life that the kernel gives for a thread, and asking for it. */

import { connect, createServer, type Server } from 'node:net'
import { codeOf } from './lock-contest.js'

/** A connect that failed here, before it could tell anything of the other side. */
const OWN_FAULT = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS'])
/** What the code of a failed connect tells. A reset: it connected, and now it is closing; the next look will know. */
const ANSWERS: Record<string, Answer> = { EAGAIN: 'alive', ECONNRESET: 'alive', ECONNREFUSED: 'refused', ENOENT: 'gone' }

/** What asking an address told. An error is one that proves neither life nor death (no permission, say). */
export type Answer = 'alive' | 'refused' | 'gone' | Error

/** Asks whether a socket listens at an address. Rejects when the fault is on this side. */
export function ask(address: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path: address })
    socket.on('connect', () => {
      socket.destroy()
      resolve('alive')
    })
    socket.on('error', (error) => {
      const code = codeOf(error)
      if (OWN_FAULT.has(code)) reject(error)
      else resolve(ANSWERS[code] ?? error)
    })
  })
}

/** A server that says nothing; its socket does not keep the process alive. */
export function createLockServer(): Server {
  return createServer((socket) => socket.on('error', () => {}).destroy()).unref()
}

/** Listens at an address; rejects when it cannot be had. */
export function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // Exclusive: in a cluster the primary would otherwise listen in this process's place, and share it.
    server.listen({ path, exclusive: true }, () => {
      server.off('error', reject).on('error', () => {}) // A failing accept takes nothing from the lock.
      resolve()
    })
  })
}
