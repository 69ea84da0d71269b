// SPDX-License-Identifier: Apache-2.0
// A real server, real agents and a real browser in one private network namespace (see run.sh), where 127.0.0.0/8 always
// answers and 198.18.0.0/24 answers only as far as a test gave this machine the address.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

const modules = process.env.MESHPING_BROWSER_MODULES;
assert.ok(modules, 'MESHPING_BROWSER_MODULES must name the folder of playwright-core and axe-core: use run.sh');
const require = createRequire(path.join(modules, 'x.js'));
const { chromium } = require('playwright-core');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const bin = process.env.MESHPING_BIN;


export const user = 'anna';
export const password = 'correct horse battery';
export const shotsFolder = process.env.MESHPING_SHOTS ?? path.join(tmpdir(), 'meshping-shots');

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export async function until(what, seconds, probe) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) assert.fail(`not within ${seconds} s: ${what}`);
    await sleep(100);
  }
}

class Daemon {
  constructor(logFile, command, args) {
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    this.process = spawn(command, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    this.ended = new Promise((done) => this.process.once('exit', (code, signal) => done(code ?? signal)));
  }

  log() {
    return readFileSync(this.logFile, 'utf8');
  }

  async end(signal = 'SIGTERM') {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    return this.ended;
  }
}

export class Lab {
  constructor(port = 8443) {
    assert.ok(bin, 'MESHPING_BIN must name the folder of meshpingd and meshping-agent');
    this.port = port;
    this.url = `https://127.0.0.1:${port}`;
    this.folder = mkdtempSync(path.join(tmpdir(), 'meshping-browser-'));
    this.state = path.join(this.folder, 'server');
    this.daemons = [];
    mkdirSync(this.state, { mode: 0o700 });
  }

  createAdministrator() {
    const file = path.join(this.folder, 'password');
    writeFileSync(file, password + '\n', { mode: 0o600 });
    execFileSync(path.join(bin, 'meshpingd'), ['admin', 'create', '--name', user, '--password-file', file, '--state-dir', this.state], { stdio: 'pipe' });
  }

  /** Changes the database of a server that does not run. */
  sql(text) {
    execFileSync('sqlite3', [path.join(this.state, 'meshping.db'), text], { stdio: 'pipe' });
  }

  async startServer() {
    this.server = new Daemon(path.join(this.folder, 'server.log'), path.join(bin, 'meshpingd'), ['--state-dir', this.state, '--listen', `127.0.0.1:${this.port}`]);
    this.daemons.push(this.server);
    const ready = { rejectUnauthorized: false, hostname: '127.0.0.1', port: this.port, path: '/readyz' };
    const https = await import('node:https');
    await until('the server is ready', 15, () => {
      assert.equal(this.server.process.exitCode, null, this.server.log());
      return new Promise((done) => https.get(ready, (answer) => { answer.resume(); done(answer.statusCode === 200); }).on('error', () => done(false)));
    });
  }

  startAgent(name, passphrase, ...more) {
    const folder = path.join(this.folder, `agent-${name.replace(/\W/g, '_')}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const file = path.join(folder, 'passphrase');
    if (passphrase) writeFileSync(file, passphrase + '\n', { mode: 0o600 });
    const daemon = new Daemon(path.join(folder, 'log'), path.join(bin, 'meshping-agent'),
      ['run', '--state-dir', path.join(folder, 'state'), '--passphrase-file', file, '--host-name', name, ...more]);
    this.daemons.push(daemon);
    return daemon;
  }

  async close() {
    for (const daemon of this.daemons.reverse()) await daemon.end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The machine takes or gives up an address of 198.18.0.0/24: a target comes or goes. */
export function setAddress(address, present) {
  execFileSync('ip', ['addr', present ? 'add' : 'del', `${address}/32`, 'dev', 'lo'], { stdio: 'pipe' });
}

export function launch() {
  return chromium.launch({ executablePath: process.env.MESHPING_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
}

/** A page that remembers what went wrong in it: script errors and breaches of the content security policy. */
export async function newPage(browser, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, colorScheme: 'light', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10000);
  page.troubles = [];
  page.foreign = [];
  page.on('pageerror', (error) => page.troubles.push(error.message));
  page.on('console', (line) => {
    // Failed requests are the tests' own doing, and are asserted where they matter.
    if (line.type() === 'error' && !/Failed to load resource|WebSocket connection/.test(line.text())) page.troubles.push(line.text());
  });
  page.on('request', (request) => {
    if (!/^(https|wss):\/\/127\.0\.0\.1[:/]/.test(request.url())) page.foreign.push(request.url());
  });
  return page;
}

export async function signIn(page, lab) {
  await page.goto(lab.url);
  await page.getByLabel('User').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByTestId('live').waitFor();
}

export const go = (page, name) => page.getByRole('navigation').getByRole('link', { name }).click();

export async function assertAccessible(page, what) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((node) => node.target.join(' ')).join(', ')}`);
  assert.deepEqual(told, [], `axe on ${what}`);
}

export async function shoot(page, name) {
  mkdirSync(shotsFolder, { recursive: true });
  await page.screenshot({ path: path.join(shotsFolder, `${name}.png`) });
}

/** By the page's own session: what other people do meanwhile, or what is no matter of the test. */
export const api = (page, method, path, body) => page.evaluate(async ([method, path, body]) => {
  const { csrf } = await (await fetch('/api/v1/session')).json();
  const answer = await fetch(path, { method, headers: { 'X-CSRF-Token': csrf, 'Content-Type': 'application/json' }, body: body && JSON.stringify(body) });
  return answer.status === 204 ? undefined : answer.json();
}, [method, path, body]);

/** Light and dark, wide and narrow: nothing wrong, nothing wider than the screen. */
export async function look(page, what) {
  for (const [width, height] of [[1280, 800], [390, 844]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await sleep(100);
      await assertAccessible(page, `${what}, ${colorScheme}, ${width}`);
      const wide = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll('dialog')].map((one) => one.scrollWidth)));
      assert.ok(wide <= width, `${what} is ${wide} wide on a screen of ${width}`);
      await shoot(page, `${what.toLowerCase().replaceAll(/\W+/g, '-')}-${colorScheme}-${width}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
}

/** [{agent, target, state}] as the page's own table has them. */
export async function cells(page) {
  return page.getByTestId('cell').evaluateAll((rows) => rows.map((row) => ({ agent: row.dataset.agent, target: row.dataset.target, state: row.dataset.state })));
}

export async function stateOf(page, agent, target) {
  return (await cells(page)).find((cell) => cell.agent === agent && cell.target === target)?.state;
}
