// What pages do beyond being read: times where one lives, keys, more of a list as it is scrolled, copying,
// the live list, and figures that are fresh. All HTML is the server's; nothing is made of text here.
'use strict';

const rows = document.querySelector('ol.rows');

// Times

const clock = new Intl.DateTimeFormat([], {hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23'});
const day = new Intl.DateTimeFormat([], {day: 'numeric', month: 'short'});
const whole = new Intl.DateTimeFormat([], {dateStyle: 'medium', timeStyle: 'long'});

/** Shows the times in an element as they are where the reader is. */
function localTimes(element) {
  const today = new Date().toDateString();
  for (const time of element.querySelectorAll('time[datetime]:not([title])')) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    time.title = `${whole.format(at)}, ${time.dateTime}`;
    if ('whole' in time.dataset) time.textContent = whole.format(at);
    else time.textContent = at.toDateString() === today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
  }
}
document.documentElement.classList.add('local');
localTimes(document);

/** What the server says; throws where it says no. */
async function ask(url, options) {
  const answer = await fetch(url, options);
  // Logged out meanwhile: the page itself leads to the log-in.
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return answer.text();
}

// Scrolling on

/** As many rows as a page may have. After that one goes on to the next page by a click. */
const ENOUGH = 2000;

const onScreen = new IntersectionObserver(seen => {
  for (const {isIntersecting, target} of seen) {
    if (!isIntersecting) continue;
    onScreen.unobserve(target);
    scrollOn(target);
  }
}, {rootMargin: '600px'});

function watchEnd() {
  const older = rows?.querySelector('[data-older]');
  if (older && rows.childElementCount < ENOUGH) onScreen.observe(older);
}

async function scrollOn(older) {
  const item = older.closest('li');
  older.setAttribute('aria-disabled', 'true');
  try {
    const html = await ask(rows.dataset.rows + new URL(older.href).search);
    item.insertAdjacentHTML('beforebegin', html);
    item.remove();
    localTimes(rows);
    watchEnd();
  } catch {
    // The link stays, and says why when it is followed.
    older.removeAttribute('aria-disabled');
  }
}
if (rows?.dataset.rows) watchEnd();

// A count that took longer than its page

const count = document.querySelector('[data-count]');
if (count) {
  count.textContent = 'counting…';
  ask(count.href).then(
    html => count.replaceWith(new DOMParser().parseFromString(html, 'text/html').getElementById('count').textContent),
    () => { count.textContent = 'Count them'; },
  );
}

// Copying

function say(button, words) {
  const said = button.parentElement.querySelector('[role=status]');
  said.textContent = words;
  clearTimeout(said.timer);
  said.timer = setTimeout(() => { said.textContent = ''; }, 4000);
}

document.addEventListener('click', async event => {
  const link = event.target.closest('[data-copy], [data-copy-link]');
  if (!link || !navigator.clipboard || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    await navigator.clipboard.writeText('copyLink' in link.dataset ? link.href : await ask(link.href));
    say(link, 'Copied');
  } catch (error) {
    say(link, `Not copied: ${error.message}`);
  }
});

// Keys

const keys = document.getElementById('keys');

/** Moves the focus by some rows. */
function move(by) {
  const links = [...document.querySelectorAll('.rows a')];
  if (links.length === 0) return;
  const at = links.indexOf(document.activeElement);
  const to = at < 0 ? 0 : Math.min(Math.max(at + by, 0), links.length - 1);
  links[to].focus({preventScroll: true});
  links[to].scrollIntoView({block: 'nearest'});
}

const KEYS = {
  '/'() { document.getElementById('f-path')?.select(); },
  j() { rows ? move(1) : document.querySelector('[data-next]')?.click(); },
  k() { if (rows) move(-1); else if (document.querySelector('[data-next]')) history.back(); },
  p() { document.querySelector('[data-pause]')?.click(); },
  '?'() { keys?.showModal(); },
};

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || keys?.open) return;
  const typing = event.target.closest('input, textarea, select');
  if (event.key === 'Escape') {
    if (typing) typing.blur();
    else document.querySelector('[data-back]')?.click();
    return;
  }
  if (typing || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

// Fields that are empty needn't be in an address.
document.querySelector('form.filter')?.addEventListener('formdata', event => {
  for (const [name, value] of [...event.formData]) {
    if (value !== '') continue;
    const kept = event.formData.getAll(name).filter(other => other !== '');
    event.formData.delete(name);
    kept.forEach(other => event.formData.append(name, other));
  }
});

// What is as it was a moment ago, and is shown as it is now

function keepFresh(element) {
  const {refresh, every} = element.dataset;
  const state = document.querySelector('[data-refresh-state]');

  async function again() {
    if (!document.hidden && element.checkVisibility()) {
      try {
        element.innerHTML = await ask(refresh, {signal: AbortSignal.timeout(5000)});
        localTimes(element);
        // Movements go on where they were.
        for (const animation of element.getAnimations({subtree: true})) animation.startTime = 0;
        element.classList.remove('stale');
        if (!document.querySelector('.stale')) state.textContent = '';
      } catch {
        if (!state.textContent) state.textContent = `Not reached since ${clock.format()}; trying again`;
        element.classList.add('stale');
      }
    }
    setTimeout(again, every);
  }
  setTimeout(again, every);
}
document.querySelectorAll('[data-refresh]').forEach(keepFresh);

// Live

/** As many rows as the live list has, and as many as wait while it is paused. */
const LIVE_ROWS = 500;

function live(place) {
  const list = place.querySelector('ol.rows');
  const empty = document.getElementById('live-empty');
  const state = document.getElementById('live-state');
  const note = document.getElementById('live-note');
  const pause = place.querySelector('[data-pause]');
  const filter = new URL(place.dataset.live, location).search;
  let waiting = [];
  let paused = false;
  let left = 0;
  let last = '';
  let source;
  let again = 0;
  let delay = 1000;

  /** Tells what changes, not each request: a screen reader reads it. */
  function tell(name, words) {
    if (state.textContent !== words) state.textContent = words;
    state.dataset.state = name;
  }

  function show() {
    if (paused || waiting.length === 0 || document.hidden) return;
    const html = waiting.reverse().join('');
    waiting = [];
    list.insertAdjacentHTML('afterbegin', html);
    for (let item = list.firstElementChild; item && !item.seen; item = item.nextElementSibling) {
      item.seen = true;
      item.className = 'new';
      // Leads back here, and on to those that are like it: each row of a list has that from the server.
      item.querySelector('a').search = filter;
    }
    while (list.childElementCount > LIVE_ROWS) list.lastElementChild.remove();
    localTimes(list);
    empty.hidden = true;
  }

  function counted() {
    if (!paused) note.textContent = '';
    else if (left + waiting.length === 0) note.textContent = 'Nothing new since then';
    else note.textContent = `${(left + waiting.length).toLocaleString()} new since then${left ? `, the last ${waiting.length} are shown when you go on` : ''}`;
  }

  function arrived({data, lastEventId}) {
    last = lastEventId || last;
    waiting.push(data);
    if (waiting.length > LIVE_ROWS) {
      waiting.shift();
      left += 1;
    }
  }

  function open() {
    const url = new URL(place.dataset.live, location);
    if (last) url.searchParams.set('after', last);
    source = new EventSource(url);
    source.onopen = () => {
      delay = 1000;
      tell('on', 'Connected');
      empty.hidden = list.childElementCount > 0;
    };
    source.onmessage = arrived;
    source.addEventListener('skipped', ({data}) => { left += Number(data); });
    source.addEventListener('missed', () => tell('on', 'Connected. Some requests in between can\'t be shown'));
    source.addEventListener('away', ({data}) => tell('away', data || 'The database can\'t be read now'));
    source.addEventListener('back', () => tell('on', 'Connected'));
    source.onerror = () => {
      tell('away', 'The connection is lost; trying again');
      // A browser tries again by itself, but not after an answer that isn't a stream.
      if (source.readyState !== EventSource.CLOSED) return;
      ask(location.href).catch(() => {});
      again = setTimeout(open, delay);
      delay = Math.min(delay * 2, 10000);
    };
  }

  pause.hidden = false;
  pause.addEventListener('click', () => {
    paused = !paused;
    left = 0;
    pause.setAttribute('aria-pressed', String(paused));
    pause.textContent = paused ? 'Go on' : 'Pause';
    counted();
    show();
  });
  document.addEventListener('visibilitychange', show);
  addEventListener('pagehide', () => { source.close(); clearTimeout(again); });
  addEventListener('pageshow', event => { if (event.persisted) open(); });
  // Many at a time are one change of the page.
  setInterval(() => { show(); counted(); }, 200);
  tell('', 'Connecting');
  open();
}

const place = document.querySelector('[data-live]');
if (place) live(place);
