// SPDX-License-Identifier: Apache-2.0
// Pictures of a running server (scripts/demo is a good one), among them docs/img/matrix.png of the README:
//   MESHPING_BROWSER_MODULES=build/dev/tests/browser/node_modules node tests/browser/screenshots.mjs \
//     --url https://127.0.0.1:8443 --user demo --password-file FILE --out docs/img
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    url: { type: 'string', default: 'https://127.0.0.1:8443' },
    user: { type: 'string', default: 'demo' },
    'password-file': { type: 'string' },
    out: { type: 'string', default: 'docs/img' },
    all: { type: 'boolean', default: false }, // every page, light and dark, wide and narrow
  },
});
if (!options['password-file']) {
  console.error('usage: screenshots.mjs --url URL --user NAME --password-file FILE [--out DIR] [--all]');
  process.exit(2);
}
const modules = path.resolve(process.env.MESHPING_BROWSER_MODULES ?? 'build/dev/tests/browser/node_modules');
const { chromium } = createRequire(path.join(modules, 'x.js'))('playwright-core');
const password = readFileSync(options['password-file'], 'utf8').trim();
mkdirSync(options.out, { recursive: true });

const browser = await chromium.launch({ executablePath: process.env.MESHPING_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const pages = options.all ? ['matrix', 'agents', 'targets', 'add', 'events', 'about'] : ['matrix'];
const looks = options.all ? [['light', 1280], ['dark', 1280], ['light', 390], ['dark', 390]] : [['light', 1280], ['dark', 1280]];
for (const [colorScheme, width] of looks) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, colorScheme, viewport: { width, height: width > 500 ? 720 : 844 }, deviceScaleFactor: width > 500 ? 1.5 : 2 });
  const page = await context.newPage();
  await page.goto(options.url);
  await page.getByLabel('User').fill(options.user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByTestId('live').waitFor();
  for (const name of pages) {
    await page.goto(`${options.url}/#/${name}`);
    await page.waitForTimeout(1500);
    const suffix = options.all ? `-${colorScheme}-${width}` : colorScheme === 'dark' ? '-dark' : '';
    await page.screenshot({ path: path.join(options.out, `${name}${suffix}.png`) });
    if (name !== 'matrix') continue;
    const cell = page.locator('[data-testid=cell] button').first();
    if (await cell.count()) await cell.click();
    else {
      await page.getByTestId('matrix').focus();
      await page.keyboard.press('ArrowRight');
    }
    await page.locator('.graph canvas').waitFor();
    await page.waitForTimeout(400);
    await page.screenshot({ path: path.join(options.out, `cell${suffix}.png`) });
    await page.keyboard.press('Escape');
  }
  await context.close();
}
await browser.close();
