// Unpacks the Chromium of the npm package beside it, with the libraries and fonts that it needs, and prints the folder.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = join(here, 'node_modules', '.chromium');
const done = join(folder, 'al2023', 'lib');
mkdirSync(folder, { recursive: true });
process.env.TMPDIR = folder; // where the package unpacks to; it asks when it is loaded
const { default: chromium, inflate } = await import('@sparticuz/chromium');
if (!existsSync(done)) {
  await chromium.executablePath();
  await inflate(join(here, 'node_modules', '@sparticuz', 'chromium', 'bin', 'al2023.tar.br'));
}
console.log(folder);
