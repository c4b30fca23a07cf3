/** The golden files: name and bytes. */
export function goldenFiles(): readonly (readonly [string, Buffer])[]
