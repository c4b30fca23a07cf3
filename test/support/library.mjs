// The library for scripts, threads and harnesses that are run against a build: the one that RINGWAL_BUILD names, else dist.
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const build = process.env.RINGWAL_BUILD ?? fileURLToPath(new URL('../../dist', import.meta.url))

/** A module of it, by its path below `src`. */
export function load(path) {
  return import(pathToFileURL(join(build, 'src', path)).href)
}
