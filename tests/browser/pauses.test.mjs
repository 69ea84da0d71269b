// SPDX-License-Identifier: Apache-2.0
// A pair's last hour with a stretch that is missing and one in which its target was paused: two things, and neither is loss.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, api, assertAccessible, go, launch, newPage, shoot, signIn, sleep, stateOf, until } from './lab.mjs';

const EVIL = 'rack 4 <img src=x onerror="document.title=1">';
const paused = { address: '127.0.0.1', interval_ms: 500, paused: { reason: EVIL } };
const pinged = { address: '127.0.0.1', interval_ms: 500 };
let lab, browser, page, agent, passphrase;

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser);
  await signIn(page, lab);
  await put(pinged);
  ({ passphrase } = await api(page, 'POST', '/api/v1/passphrases', { advertise: `127.0.0.1:${lab.port}`, preapprove: 1, preapprove_from: '127.0.0.0/8' }));
  agent = lab.startAgent('alpha', passphrase);
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

const put = (...targets) => api(page, 'PUT', '/api/v1/targets', { targets });
const card = () => page.getByTestId('card');
const label = () => card().getByTestId('graph').getAttribute('aria-label');
const reasons = () => card().getByTestId('gap-reason').allInnerTexts();
const state = () => stateOf(page, 'alpha', '127.0.0.1');

/** How much of the graph has the field of a pause. Another theme makes the graph anew: waits for one. */
const evenField = () => card().locator('.graph canvas').evaluate((canvas) => {
  const wanted = getComputedStyle(canvas).getPropertyValue('--cell-paused').trim();
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(wanted.slice(at, at + 2), 16));
  let n = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) n++;
  return n;
});

test('a stretch that is missing is no pause', async () => {
  await go(page, 'Matrix');
  await page.getByTestId('all-cells').check();
  await until('the cell is ok', 15, async () => (await state()) === 'ok');
  await sleep(3000); // samples on both sides, as all that is drawn
  await agent.end('SIGKILL');
  await sleep(8000);
  agent = lab.startAgent('alpha', passphrase);
  await until('the cell is ok again', 20, async () => (await state()) === 'ok');
  await page.getByTestId('matrix').focus();
  for (const key of ['ArrowDown', 'Enter']) await page.keyboard.press(key);
  await card().locator('.graph canvas').waitFor();
  await until('the gap is told', 20, async () => (await reasons()).includes('Missing: the agent was restarted.'));
  assert.match(await label(), / 0 lost, .* 1 missing stretches, 0 pauses$/);
  assert.equal(await evenField(), 0);
});

test('a pause is drawn as one, with its reason, while it lasts and after', async () => {
  await put(paused);
  await until('the cell is paused', 10, async () => (await state()) === 'paused');
  assert.equal(await card().getAttribute('data-state'), 'paused');
  await until('the pause is told', 30, async () => (await reasons()).length === 2);
  assert.match((await reasons())[1], /^Paused from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d until somebody resumes it: rack 4 <img/);
  assert.match(await label(), / 0 lost, .* 1 missing stretches, 1 pauses$/);
  assert.deepEqual(await card().locator('.graph-key li').allInnerTexts(), ['round trip', 'lost', 'agent trouble', 'missing', 'paused']);
  await until('its field is drawn', 20, async () => (await evenField()) > 500);
  await put(pinged);
  await until('the cell is ok again', 15, async () => (await state()) === 'ok');
  await until('the end of the pause is told', 10, async () => !(await reasons())[1].includes('until somebody'));
  assert.match(await label(), / 0 lost, .* 1 missing stretches, 1 pauses$/);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await until('its field has the colours', 10, async () => (await evenField()) > 500);
    await assertAccessible(page, `a pause, ${colorScheme}`);
    await shoot(page, `pause-${colorScheme}`);
  }
  assert.deepEqual(page.troubles, []);
});
