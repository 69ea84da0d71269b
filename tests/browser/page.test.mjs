// SPDX-License-Identifier: Apache-2.0
// The main job through the page: sign in, targets, a passphrase, two agents, the live matrix, and its troubles.
// One story in one mesh: each part begins where the one before it ended.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { Lab, assertAccessible, cells, go, launch, newPage, password, setAddress, shoot, signIn, sleep, stateOf, until, user } from './lab.mjs';

const AWAY = '198.18.0.9'; // nobody has it at first
const HERE = '198.18.0.8';
const EVIL = '<img src=x onerror="document.title=1">';
const good = ['127.0.0.1 gateway', '127.0.0.2 dns 1', '::1', `${HERE} web`, `${AWAY} gone`, `127.0.0.3 ${EVIL}`];

let lab, browser, page, passphrase;
const agents = {};
let loads = 0;

before(async () => {
  lab = new Lab();
  lab.createAdministrator();
  setAddress(HERE, true);
  await lab.startServer();
  browser = await launch();
  page = await newPage(browser);
  page.on('load', () => loads++);
});
after(async () => {
  await browser?.close();
  await lab?.close();
});

const allCells = async () => {
  await go(page, 'Matrix');
  await page.getByTestId('matrix').waitFor();
  if (!(await page.getByTestId('all-cells').isChecked())) await page.getByTestId('all-cells').check();
};

/** How many pixels of the matrix have (nearly) this colour. */
const pixels = (colour) => page.evaluate(([r, g, b]) => {
  const canvas = document.querySelector('[data-testid=matrix] canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) if (Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 12) n++;
  return n;
}, colour);
const RED = [0xc9, 0x2a, 0x2a]; // --cell-fail, light

/** The middle of a cell: the layout of the wide form, as seen from its parts. */
async function pointAt(row, column) {
  const box = await page.getByTestId('matrix').boundingBox();
  const rows = 2, columns = good.length;
  const headHeight = 50, cellHeight = 36;
  const headWidth = 116 + 1;
  const cellWidth = Math.floor((box.width - 2 - headWidth) / columns);
  assert.ok(row < rows && column < columns);
  return [box.x + headWidth + (column + 0.5) * cellWidth, box.y + headHeight + (row + 0.5) * cellHeight];
}

test('no page without signing in; a wrong password says so', async () => {
  await page.goto(lab.url + '/#/agents');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await assertAccessible(page, 'sign in');
  await shoot(page, 'sign-in-light');
  await page.getByLabel('User').fill(user);
  await page.getByLabel('Password').fill('wrong horse');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('User or password is wrong.').waitFor();
  assert.equal(await page.getByRole('navigation').count(), 0);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Agents' }).waitFor();
  loads = 0; // from here on nothing may need a reload
});

test('an empty mesh says what to do first', async () => {
  await go(page, 'Matrix');
  await page.getByTestId('first-steps').getByRole('link', { name: 'Enter the targets' }).click();
  await page.getByTestId('targets-text').waitFor();
});

test('a bad target names its line and the reason, and the old list stays', async () => {
  await page.getByTestId('targets-text').fill(`# ours\n\n${good[0]}\nnot/a/target bad one\n${good[1]}`);
  await page.getByTestId('save-targets').click();
  const told = page.getByRole('alert').filter({ hasText: 'Line 4' });
  await told.waitFor();
  assert.match(await told.innerText(), /not\/a\/target.*Nothing was saved/s);
  await page.getByText('No targets yet.').waitFor();
  await page.getByTestId('targets-text').fill(`${good[0]}\n${good[0]}`);
  await page.getByTestId('save-targets').click();
  await page.getByRole('alert').filter({ hasText: 'Nothing was saved' }).waitFor();
  assert.equal(await page.getByTestId('target').count(), 0);
});

test('a good list is saved, names with markup stay text', async () => {
  await page.getByTestId('targets-text').fill(good.join('\n'));
  await page.getByTestId('save-targets').click();
  await page.getByText(`Saved: ${good.length} targets`).waitFor();
  assert.equal(await page.getByTestId('target').count(), good.length);
  assert.equal(await page.locator('main img').count(), 0);
  await page.getByText(EVIL).first().waitFor();
});

test('a passphrase is issued in the page, with a warning for a loopback address', async () => {
  await go(page, 'Add an agent');
  await page.getByTestId('advertise').selectOption(`127.0.0.1:${lab.port}`);
  await page.getByText('is a loopback address').waitFor();
  await page.getByTestId('label').fill('rack 7');
  await page.getByTestId('issue').click();
  passphrase = (await page.getByTestId('passphrase').innerText()).trim();
  assert.match(passphrase, /^MP1-[0-9A-Z]/);
  assert.ok((await page.getByTestId('issued').locator('pre').count()) >= 1, 'a command to paste');
  await page.getByTestId('passphrase-row').filter({ hasText: 'rack 7' }).waitFor();
});

test('agents that join appear as pending by themselves', async () => {
  // One after the other: rows stand in the order of joining.
  for (const [i, name] of ['alpha', 'beta'].entries()) {
    agents[name] = lab.startAgent(name, passphrase);
    await page.getByTestId('pending-count').filter({ hasText: String(i + 1) }).waitFor({ timeout: 15000 });
  }
  await go(page, 'Agents');
  await page.locator('[data-testid=agent][data-agent=alpha][data-state=pending]').waitFor();
  await assertAccessible(page, 'agents, pending');
  await shoot(page, 'agents-pending-light');
});

test('approving shows the fingerprint that the agent prints', async () => {
  for (const name of ['alpha', 'beta']) {
    await page.getByRole('button', { name: `Approve ${name}` }).click();
    const dialog = page.getByRole('dialog');
    const fingerprint = (await dialog.locator('.fingerprint').innerText()).trim();
    assert.ok(fingerprint.length > 20 && agents[name].log().includes(fingerprint), `${fingerprint} is in the log of ${name}`);
    if (name === 'alpha') await assertAccessible(page, 'the question before approving');
    await page.getByTestId('confirm').click();
    await page.locator(`[data-testid=agent][data-agent=${name}][data-state=approved]`).waitFor();
  }
});

test('cells become ok within 15 s; only the silent target fails', async () => {
  const approved = Date.now();
  await allCells();
  await until('all cells have their state', 15, async () => {
    const now = await cells(page);
    return now.length === 2 * good.length && now.every((cell) => cell.state === (cell.target === AWAY ? 'fail' : 'ok'));
  });
  console.log(`# all cells right ${((Date.now() - approved) / 1000).toFixed(1)} s after the approval`);
  assert.equal(await page.getByTestId('legend-ok').getAttribute('data-count'), String(2 * (good.length - 1)));
  assert.equal(await page.getByTestId('legend-fail').getAttribute('data-count'), '2');
  assert.ok((await pixels(RED)) > 1000, 'failing cells are red on the canvas');
  assert.match(await page.getByTestId('summary').innerText(), /2 of 2 agents online.*6 targets.*2 cells failing/s);
});

test('both agents have applied the list', async () => {
  await go(page, 'Targets');
  await page.locator('[data-testid=applied][data-applied="2"]').waitFor();
});

test('a cell under the pointer shows its last hour; the keyboard does it too', async () => {
  await allCells();
  await page.mouse.move(...(await pointAt(0, 0)));
  const card = page.getByTestId('card');
  await card.getByRole('heading', { name: 'alpha to gateway' }).waitFor();
  assert.equal(await card.getAttribute('data-state'), 'ok');
  await card.locator('.graph canvas').waitFor();
  assert.match(await card.getByTestId('graph').getAttribute('aria-label'), /[1-9]\d* replies, 0 lost/);
  await shoot(page, 'matrix-card-light');
  await page.mouse.move(5, 790);
  await card.waitFor({ state: 'detached' });
  await page.getByTestId('matrix').focus();
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowRight']) await page.keyboard.press(key);
  await card.getByRole('heading', { name: 'beta to gone' }).waitFor();
  assert.equal(await card.getAttribute('data-state'), 'fail');
  await until('the card tells why', 10, async () => /no reply \(timeout\)/.test(await card.innerText()));
  await page.keyboard.press('Enter');
  await card.getByRole('button', { name: 'Close' }).waitFor();
  await page.getByTestId('probe-now').click();
  await until('what the ping now found', 10, async () => /^(timeout|unreachable) \(sent /.test(await page.getByTestId('probe-result').innerText()));
  await assertAccessible(page, 'matrix with a pinned cell');
  await page.keyboard.press('Escape');
  await card.waitFor({ state: 'detached' });
});

test('a target that comes back is lossy, one that goes away fails, within 11 s each and no other', async () => {
  setAddress(AWAY, true);
  await until('the target that came is no longer failing', 11, async () => (await stateOf(page, 'alpha', AWAY)) === 'lossy' && (await stateOf(page, 'beta', AWAY)) === 'lossy');
  setAddress(HERE, false);
  await until('the target that went fails in both rows', 11, async () => (await stateOf(page, 'alpha', HERE)) === 'fail' && (await stateOf(page, 'beta', HERE)) === 'fail');
  const others = (await cells(page)).filter((cell) => ![HERE, AWAY].includes(cell.target));
  assert.deepEqual([...new Set(others.map((cell) => cell.state))], ['ok']);
  setAddress(HERE, true);
});

test('problems first, filters and states arrange the matrix', async () => {
  await page.getByLabel('Filter agents').fill('bet');
  await until('one row is left', 5, async () => (await cells(page)).every((cell) => cell.agent === 'beta'));
  await page.getByLabel('Filter agents').fill('nobody');
  await page.getByText('No row and column fit the filter.').waitFor();
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByTestId('problems-first').click();
  await page.mouse.move(...(await pointAt(0, 0)));
  await page.getByTestId('card').getByRole('heading', { name: /^alpha to (web|gone)$/ }).waitFor();
  await page.mouse.move(5, 790);
  await page.getByTestId('problems-first').click();
  await page.mouse.move(...(await pointAt(0, 0)));
  await page.getByTestId('card').getByRole('heading', { name: 'alpha to gateway' }).waitFor();
  await page.mouse.move(5, 790);
  await page.getByTestId('legend-lossy').click();
  await until('only what is lossy is left', 5, async () => [...new Set((await cells(page)).map((cell) => cell.target))].sort().join() === [HERE, AWAY].sort().join());
  await page.getByTestId('legend-lossy').click();
  assert.equal((await cells(page)).length, 2 * good.length);
});

test('every page is accessible in light and dark, wide and narrow', async () => {
  const pages = { Matrix: 'matrix', Agents: 'agents', Targets: 'targets-text', 'Add an agent': 'issue-form', Events: 'event', About: 'version' };
  for (const [width, height] of [[1280, 800], [390, 844]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      for (const [name, shows] of Object.entries(pages)) {
        await go(page, name);
        if (name === 'Agents') await page.getByTestId('agent').first().waitFor();
        else await page.getByTestId(shows).first().waitFor();
        await sleep(150);
        await assertAccessible(page, `${name}, ${colorScheme}, ${width}`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${name} is ${wide} wide on a screen of ${width}`);
        await shoot(page, `${name.toLowerCase().replaceAll(' ', '-')}-${colorScheme}-${width}`);
      }
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: 'light' });
});

test('on a phone a tap opens a cell as a sheet, and it closes', async () => {
  const phone = await newPage(browser, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await signIn(phone, lab);
  await phone.getByTestId('matrix').waitFor();
  const box = await phone.getByTestId('matrix').boundingBox();
  await phone.touchscreen.tap(box.x + 116 + 20, box.y + box.height - 25);
  const card = phone.getByTestId('card');
  await card.locator('.graph canvas').waitFor();
  const sheet = await card.boundingBox();
  assert.ok(sheet.x === 0 && Math.abs(sheet.width - 390) < 2 && Math.abs(sheet.y + sheet.height - 844) < 2, JSON.stringify(sheet));
  await shoot(phone, 'sheet-light-390');
  await card.getByRole('button', { name: 'Close' }).tap();
  await card.waitFor({ state: 'detached' });
  assert.deepEqual(phone.troubles, []);
  await phone.context().close();
});

test('the toggle goes over the system’s colours', async () => {
  const look = () => page.evaluate(() => document.documentElement.dataset.theme);
  await page.getByTestId('theme').click();
  assert.equal(await look(), 'dark');
  await page.getByTestId('theme').click();
  assert.equal(await look(), 'light');
  await page.getByTestId('theme').click();
});

test('a new list reaches the matrix and the agents without a reload', async () => {
  await go(page, 'Targets');
  await page.getByTestId('targets-text').fill([...good.slice(0, 5), '127.0.0.9 added'].join('\n'));
  await page.getByTestId('save-targets').click();
  await page.getByText(/Saved: 6 targets/).waitFor();
  await allCells();
  await until('the added target is ok in both rows, the removed one is gone', 15, async () => {
    const now = await cells(page);
    return now.filter((cell) => cell.target === '127.0.0.9' && cell.state === 'ok').length === 2 && !now.some((cell) => cell.target === '127.0.0.3');
  });
});

test('a lost server is said at once, and what is shown does not look live', async () => {
  const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(before);
  await lab.server.end();
  await page.getByTestId('lost').filter({ hasText: /Connection to the server lost. Showing the state of \d\d:\d\d:\d\d/ }).waitFor();
  assert.equal(await page.getByTestId('live').getAttribute('data-status'), 'lost');
  await assertAccessible(page, 'a lost server');
  await shoot(page, 'lost-light');
  await lab.startServer();
  await page.getByTestId('lost').waitFor({ state: 'detached', timeout: 30000 });
  assert.equal(await page.getByTestId('live').getAttribute('data-status'), 'live');
});

test('an agent that goes away is offline, never red', async () => {
  await until('both rows are back', 30, async () => {
    const now = await cells(page);
    return now.length === 12 && now.every((cell) => cell.state === 'ok' || cell.state === 'lossy');
  });
  await agents.beta.end('SIGKILL');
  const seen = new Set();
  await until('beta is offline', 25, async () => {
    const row = (await cells(page)).filter((cell) => cell.agent === 'beta');
    row.forEach((cell) => seen.add(cell.state));
    return row.length === 6 && row.every((cell) => cell.state === 'agent_offline');
  });
  assert.ok(!seen.has('fail'), `states on the way: ${[...seen].join(', ')}`);
  assert.equal(await page.getByTestId('legend-fail').getAttribute('data-count'), '0');
  assert.match(await page.getByTestId('summary').innerText(), /1 of 2 agents online/);
  assert.equal(await pixels(RED), 0);
  await page.getByTestId('all-cells').uncheck();
  await page.locator('[data-testid=away][data-agent=beta]').waitFor();
  await shoot(page, 'agent-offline-light');
});

test('an agent is held, rejected and reinstated from the page', async () => {
  await go(page, 'Agents');
  const act = async (verb, state) => {
    await page.getByRole('button', { name: `${verb} beta` }).click();
    await page.getByTestId('confirm').click();
    await page.locator(`[data-testid=agent][data-agent=beta][data-state=${state}]`).waitFor();
  };
  await act('Hold', 'hold');
  await act('Reject', 'blacklisted');
  await act('Reinstate', 'pending');
});

test('a passphrase is revoked, and an agent with it is refused', async () => {
  await go(page, 'Add an agent');
  await page.getByRole('button', { name: 'Revoke rack 7' }).click();
  await page.getByTestId('confirm').click();
  await page.locator('[data-testid=passphrase-row][data-status=revoked]').waitFor();
  lab.startAgent('gamma', passphrase);
  await sleep(3000);
  await go(page, 'Agents');
  await page.getByTestId('agent').first().waitFor();
  assert.equal(await page.locator('[data-testid=agent][data-agent=gamma]').count(), 0);
});

test('what was done is in the events', async () => {
  await go(page, 'Events');
  await page.getByTestId('event').first().waitFor();
  assert.ok((await page.getByTestId('event').filter({ hasText: 'alpha' }).count()) > 0);
});

test('after signing out nothing is shown, and the page was never reloaded nor broke its policy', async () => {
  await page.getByTestId('sign-out').click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.equal(await page.getByTestId('cell').count(), 0);
  assert.equal(loads, 0);
  assert.deepEqual(page.troubles, []);
  assert.deepEqual(page.foreign, []);
});
