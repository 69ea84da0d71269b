// SPDX-License-Identifier: Apache-2.0
// Pictures of the page, among them docs/img/matrix.png of the README.
//   MESHPING_BIN=build/dev/bin MESHPING_BROWSER_MODULES=build/dev/tests/browser/node_modules \
//     tests/browser/run.sh tests/browser/screenshots.mjs --out docs/img       a mesh of its own, with some troubles
//   MESHPING_BROWSER_MODULES=... node tests/browser/screenshots.mjs --url https://127.0.0.1:8443 --user demo \
//     --password-file FILE --out DIR                                          a server that runs, e.g. scripts/demo
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Lab, launch, newPage, password as labPassword, setAddress, sleep, until, user as labUser } from './lab.mjs';

const { values: options } = parseArgs({
  options: {
    url: { type: 'string' },
    user: { type: 'string', default: labUser },
    'password-file': { type: 'string' },
    out: { type: 'string', default: 'docs/img' },
    minutes: { type: 'string', default: '12' }, // how long the own mesh runs before it is pictured
    all: { type: 'boolean', default: false }, // every page, wide and narrow
  },
});
if (options.url && !options['password-file']) {
  console.error('usage: screenshots.mjs [--minutes N] | --url URL --user NAME --password-file FILE; [--out DIR] [--all]');
  process.exit(2);
}

const names = ['fra-1', 'ams-1', 'lon-1', 'sto-1', 'waw-1'];
const targets = [
  '127.0.0.1 loopback', '::1 loopback v6', '198.19.0.1 edge-fra', '198.19.0.2 edge-ams', '198.19.0.3 dns',
  '198.19.0.4 satellite', '198.19.0.5 wifi bridge', '198.19.0.6 backup', '198.18.0.8 db-primary',
];
const hosts = [
  '198.19.0.1:delay=4ms,jitter=800us', '198.19.0.2:delay=9ms,jitter=1500us', '198.19.0.3:delay=14ms,jitter=2ms',
  '198.19.0.4:delay=180ms,jitter=30ms', '198.19.0.5:delay=22ms,jitter=9ms,loss=0.06', '198.19.0.6:delay=31ms,jitter=4ms',
];

/** Five agents, nine targets; at the end one target is down for a minute and one agent away. */
async function ownMesh(browser) {
  const lab = new Lab();
  lab.createAdministrator();
  setAddress('198.18.0.8', true);
  const simulator = spawn(path.join(process.env.MESHPING_BIN, 'meshping-sim'), ['--device', 'sim', '--address', '198.19.255.254/16', ...hosts.flatMap((host) => ['--host', host])], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((done, failed) => {
    simulator.stdout.on('data', done);
    simulator.on('exit', (code) => failed(new Error(`meshping-sim ended with ${code}`)));
  });
  await lab.startServer();
  const page = await signedIn(browser, { url: lab.url, user: labUser, password: labPassword });
  const call = (method, url, body) => page.evaluate(async ([m, u, b]) => {
    const { csrf } = await (await fetch('/api/v1/session')).json();
    const answer = await fetch(u, { method: m, body: b && JSON.stringify(b), headers: { 'X-CSRF-Token': csrf, 'Content-Type': 'application/json' } });
    if (!answer.ok) throw new Error(`${m} ${u}: ${await answer.text()}`);
    return answer.json();
  }, [method, url, body]);
  await call('PUT', '/api/v1/targets', { targets });
  const { passphrase } = await call('POST', '/api/v1/passphrases', { advertise: `127.0.0.1:${lab.port}`, label: 'pictures' });
  const daemons = names.map((name) => lab.startAgent(name, passphrase));
  const agents = await until('all agents have joined', 20, async () => {
    const list = (await call('GET', '/api/v1/agents')).agents;
    return list.length === names.length && list;
  });
  for (const agent of agents) await call('POST', `/api/v1/agents/${agent.id}/approve`, {});
  await sleep(Number(options.minutes) * 60000);
  setAddress('198.18.0.8', false);
  await daemons[3].end('SIGKILL');
  await sleep(60000);
  await page.context().close();
  return { url: lab.url, user: labUser, password: labPassword, close: async () => { simulator.kill(); await lab.close(); } };
}

async function signedIn(browser, server, look = {}) {
  const page = await newPage(browser, look);
  await page.goto(server.url);
  await page.getByLabel('User').fill(server.user);
  await page.getByLabel('Password').fill(server.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByTestId('live').waitFor();
  return page;
}

async function picture(browser, server, colorScheme, width, pages, suffix) {
  const page = await signedIn(browser, server, {
    colorScheme, viewport: { width, height: width > 500 ? 700 : 844 }, deviceScaleFactor: width > 500 ? 1.5 : 2,
  });
  for (const name of pages) {
    await page.goto(`${server.url}/#/${name}`);
    await page.waitForTimeout(1500);
    await page.screenshot({ path: path.join(options.out, `${name}${suffix}.png`) });
    if (name !== 'matrix') continue;
    await page.getByTestId('matrix').focus();
    for (const key of ['ArrowDown', ...Array(width > 500 ? 6 : 4).fill('ArrowRight')]) await page.keyboard.press(key);
    await page.locator('.graph canvas').waitFor();
    await page.waitForTimeout(400);
    await page.screenshot({ path: path.join(options.out, `cell${suffix}.png`) });
    await page.keyboard.press('Escape');
  }
  await page.context().close();
}

mkdirSync(options.out, { recursive: true });
const browser = await launch();
const server = options.url
  ? { url: options.url, user: options.user, password: readFileSync(options['password-file'], 'utf8').trim(), close: async () => undefined }
  : await ownMesh(browser);
try {
  if (options.all) {
    const pages = ['matrix', 'agents', 'targets', 'add', 'users', 'events', 'audit', 'account', 'about'];
    for (const width of [1280, 390]) for (const look of ['light', 'dark']) await picture(browser, server, look, width, pages, `-${look}-${width}`);
  } else {
    await picture(browser, server, 'light', 1280, ['matrix'], '');
    await picture(browser, server, 'dark', 1280, ['matrix'], '-dark');
  }
} finally {
  await browser.close();
  await server.close();
}
