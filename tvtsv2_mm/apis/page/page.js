// The page: what is looked for is kept in the address, results come from /api/search.

const PAGE = 24;          // results at first, and more each time
const MOST = 200;         // as the server allows
const TYPING_MS = 350;    // rest after which what is typed is looked for
const at = (id) => document.getElementById(id);
const form = at('search'), text = at('text'), unwanted = at('unwanted'), folder = at('folder');
const videos = at('videos'), results = at('results'), status = at('status'), player = at('player');
const video = at('video'), help = at('help'), more = at('more'), chips = at('chips');

let info = null;          // what the server has
let moments = [];         // what is shown
let likes = [];           // the moments that results are like
let shown = null;         // the search whose results these are
let file = null;          // a picture or clip as the query; an address cannot hold it
let fileAddress = '';
let count = PAGE;
let playing = -1;         // index of the moment in the player
let repeating = false;
let running = null;       // the request that is under way
let typing = 0;

// --- what is looked for, as an address ------------------------------------------------------

function wanted() {
  return {text: text.value.trim(), unwanted: unwanted.value.trim(), folder: folder.value,
          videos: videos.checked, rows: likes.map((moment) => moment.row)};
}

function addressOf(search, row = null) {
  const query = new URLSearchParams();
  if (search.text) query.set('q', search.text);
  if (search.unwanted) query.set('not', search.unwanted);
  if (search.folder) query.set('folder', search.folder);
  if (search.videos) query.set('videos', '1');
  for (const like of search.rows) query.append('like', like);
  if (row !== null) query.set('play', row);
  return query.toString() ? `/?${query}` : '/';
}

function readAddress() {
  const query = new URLSearchParams(location.search);
  text.value = query.get('q') ?? '';
  unwanted.value = query.get('not') ?? '';
  const name = query.get('folder') ?? '';
  if (name && ![...folder.options].some((option) => option.value === name)) addFolder(name, name);
  folder.value = name;
  videos.checked = query.get('videos') === '1';
  likes = query.getAll('like').filter((row) => /^\d+$/.test(row)).map(
    (row) => likes.find((moment) => moment.row === Number(row)) ?? {row: Number(row)});
  const play = query.get('play');
  return /^\d+$/.test(play ?? '') ? Number(play) : null;
}

// --- asking the server ----------------------------------------------------------------------

async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Error('The server does not answer: is it still running?');
  }
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  const said = content.error || `The server answered with ${answer.status}.`;
  throw new Error(said[0].toUpperCase() + said.slice(1) + (/[.!?]$/.test(said) ? '' : '.'));
}

async function find() {
  const search = wanted();
  running?.abort();
  running = null;
  results.classList.add('old');
  if (!search.text && !search.rows.length && !file) {
    moments = [];
    shown = null;
    show();
    tell('');
    return;
  }
  const query = new URLSearchParams({top_k: count});
  if (search.text) query.append('text', search.text);
  if (search.unwanted) query.append('not', search.unwanted);
  if (search.folder) query.set('folder', search.folder);
  if (search.videos) query.set('per_video', 'true');
  for (const row of search.rows) query.append('like', row);
  const own = running = new AbortController();
  tell(file ? 'Looking at the file' : 'Searching', 'busy');
  const started = performance.now();
  try {
    const found = await ask(`/api/search?${query}`, file
      ? {method: 'POST', body: file, signal: own.signal, headers: {'content-type': 'application/octet-stream'}}
      : {signal: own.signal});
    moments = found.moments;
    likes = found.like;
    shown = search;
    show();
    const seconds = ((performance.now() - started) / 1000).toFixed(2);
    const kind = search.videos ? 'video' : 'moment';
    tell(moments.length
      ? `${moments.length} ${kind}${moments.length > 1 ? 's' : ''}, best first, in ${seconds} s`
      : `Nothing was found${search.folder ? ` in ${search.folder}: try all folders` : ''}.`);
  } catch (error) {
    if (error.name === 'AbortError') return;
    moments = [];
    show();
    tell(error.message, 'bad');
  } finally {
    if (running === own) running = null;
  }
}

// A search that is a step of its own: the back button leads to the one before.
function go({step = true} = {}) {
  clearTimeout(typing);
  count = PAGE;
  const address = addressOf(wanted());
  if (step && address !== location.pathname + location.search) history.pushState(null, '', address);
  else history.replaceState(null, '', address);
  return find();
}

function tell(message, kind = '') {
  status.textContent = message;
  status.className = kind;
}

// --- showing what was found -----------------------------------------------------------------

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, '0'));
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${parts.join(':')}` : `${Number(parts[0])}:${parts[1]}`;
}

const timesOf = (moment) => moment.start === null ? '' : `${clock(moment.start)} – ${clock(moment.end)}`;
const nameOf = (moment) => moment.video.split('/').pop();
const folderOf = (moment) => moment.video.split('/').slice(0, -1).join('/');
const middleOf = (moment) => moment.start === null ? 0 : (moment.start + moment.end) / 2;
const pictureOf = (moment) =>
  `/api/thumbnail?${new URLSearchParams({name: moment.video, at: middleOf(moment).toFixed(1)})}`;

function setPicture(image, moment) {
  image.onerror = () => {  // once more, in case the server was busy
    image.onerror = () => image.parentElement.classList.add('failed');
    setTimeout(() => { image.src = `${pictureOf(moment)}&again=1`; }, 1200);
  };
  image.src = pictureOf(moment);
}

function show() {
  const cards = moments.map((moment, index) => {
    const card = at('result').content.cloneNode(true).firstElementChild;
    const play = card.querySelector('.play');
    setPicture(card.querySelector('img'), moment);
    card.querySelector('.when').textContent = timesOf(moment);
    card.querySelector('.when').hidden = moment.start === null;
    card.querySelector('.title').textContent = nameOf(moment);
    card.querySelector('.title').title = moment.video;
    card.querySelector('.folder').textContent = folderOf(moment);
    card.querySelector('.words').textContent = moment.said ?? '';
    play.tabIndex = index ? -1 : 0;
    play.setAttribute('aria-label', `Play ${moment.video}${moment.start === null ? '' : `, ${timesOf(moment)}`}`
      + (moment.said ? `: “${moment.said}”` : ''));
    const like = card.querySelector('.like');
    like.tabIndex = play.tabIndex;
    like.hidden = moment.row < 0;
    like.setAttribute('aria-label', `More like ${moment.video}, ${timesOf(moment)}`);
    play.addEventListener('click', () => open(index));
    play.addEventListener('focus', () => rove(index));
    like.addEventListener('click', () => moreLike(moment));
    return card;
  });
  results.replaceChildren(...cards);
  results.classList.remove('old');
  more.hidden = !(moments.length >= count && count < MOST);
  at('welcome').hidden = Boolean(shown || file || running);
  showChips();
}

function showChips() {
  const made = likes.map((moment, index) => chip(
    moment.video ? `like ${nameOf(moment)} ${timesOf(moment)}` : 'like a moment', (box) => {
      if (!moment.video) return;
      const image = document.createElement('img');
      image.alt = '';
      image.src = pictureOf(moment);
      box.append(image);
    }, () => { likes.splice(index, 1); go(); }));
  if (file) {
    made.push(chip(`like ${file.name || 'the picture'}`, (box) => {
      const isVideo = file.type.startsWith('video/');
      const picture = document.createElement(isVideo ? 'video' : 'img');
      picture.src = fileAddress;
      if (isVideo) picture.muted = true; else picture.alt = '';
      picture.addEventListener('error', () => picture.remove());
      box.append(picture);
    }, () => { setFile(null); go(); }));
  }
  chips.replaceChildren(...made);
  chips.hidden = !made.length;
  document.title = [text.value.trim(), 'Find the moment'].filter(Boolean).join(' – ');
}

function chip(label, decorate, remove) {
  const box = document.createElement('div');
  box.className = 'chip';
  decorate(box);
  const words = document.createElement('span');
  words.textContent = label;
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = '×';
  button.setAttribute('aria-label', `Remove: ${label}`);
  button.addEventListener('click', remove);
  box.append(words, button);
  return box;
}

function moreLike(moment) {
  if (moment.row < 0) return;
  if (player.open) { playing = -1; player.close(); }
  setFile(null);
  text.value = '';
  likes = [moment];
  scrollTo({top: 0});
  go().then(() => plays()[0]?.focus());
}

function setFile(chosen) {
  if (fileAddress) URL.revokeObjectURL(fileAddress);
  file = chosen;
  fileAddress = chosen ? URL.createObjectURL(chosen) : '';
}

function searchByFile(chosen) {
  if (!chosen) return;
  if (!info?.examples) { tell('This server was started without search by pictures and clips.', 'bad'); return; }
  if (chosen.size > info.most_bytes) {
    tell(`${chosen.name || 'The file'} is too large: ${Math.floor(info.most_bytes / 2 ** 20)} MB at most.`, 'bad');
    return;
  }
  likes = [];
  text.value = '';
  setFile(chosen);
  at('welcome').hidden = true;
  go();
}

// --- the player -----------------------------------------------------------------------------

function open(index, {step = true} = {}) {
  const moment = moments[index];
  if (!moment) return;
  playing = index;
  at('name').textContent = moment.video;
  at('range').textContent = moment.start === null ? '' : `The moment: ${timesOf(moment)}`;
  at('ended').textContent = '';
  at('said').textContent = moment.said ?? '';
  at('said').hidden = !moment.said;
  at('broken').hidden = true;
  const address = `/api/video?${new URLSearchParams({name: moment.video})}`;
  at('open').href = address;
  player.querySelector('[data-do=before]').disabled = index === 0;
  player.querySelector('[data-do=next]').disabled = index === moments.length - 1;
  player.querySelector('[data-do=like]').hidden = moment.row < 0;
  if (video.getAttribute('src') !== address) video.src = address;
  else start();
  const there = addressOf(shown ?? wanted(), moment.row);
  if (step && !player.open) history.pushState({playing: true}, '', there);
  else history.replaceState({...history.state, playing: true}, '', there);
  if (!player.open) player.showModal();
  track();
}

function start() {
  const moment = moments[playing];
  if (!moment) return;
  video.currentTime = moment.start ?? 0;
  video.play().catch(() => {});  // a browser may want a click first
}

function track() {
  const moment = moments[playing];
  const whole = Number.isFinite(video.duration) ? video.duration : 0;
  if (!moment) return;
  const share = (seconds) => whole ? `${Math.min(100, 100 * seconds / whole)}%` : '0%';
  at('span').style.left = share(moment.start ?? 0);
  at('span').style.width = whole && moment.start !== null ? share(moment.end - moment.start) : '0%';
  at('now').style.left = share(video.currentTime);
  const isOver = moment.end !== null && video.currentTime >= moment.end - 0.05;
  if (isOver && repeating && !video.seeking && !video.paused) video.currentTime = moment.start;
  at('ended').textContent = isOver && !repeating ? 'The moment is over; the video goes on.' : '';
}

video.addEventListener('loadedmetadata', () => { start(); track(); });
video.addEventListener('timeupdate', track);
video.addEventListener('ended', () => { if (repeating) start(); });
video.addEventListener('error', () => {
  if (!player.open || !video.getAttribute('src')) return;
  const broken = at('broken');
  broken.textContent = 'This browser cannot play the video.';
  broken.hidden = false;
  // Why, if the server says so.
  fetch(video.src, {headers: {range: 'bytes=0-0'}}).then(async (answer) => {
    if (!answer.ok) broken.textContent = `It cannot be played: ${(await answer.json()).error}.`;
    else broken.textContent += ' “Open file” hands it to another program.';
  }).catch(() => { broken.textContent = 'The server does not answer: is it still running?'; });
});

player.addEventListener('close', () => {
  video.pause();
  video.removeAttribute('src');
  video.load();
  const index = playing;
  playing = -1;
  if (index < 0) return;  // closed by what comes next
  if (history.state?.playing) history.back();
  plays()[index]?.focus();
});

const ACTIONS = {
  close: (dialog) => dialog.close(),
  again: () => start(),
  repeat: () => {
    repeating = !repeating;
    player.querySelector('[data-do=repeat]').setAttribute('aria-pressed', String(repeating));
    track();
  },
  like: () => moreLike(moments[playing]),
  before: () => { if (playing > 0) open(playing - 1); },
  next: () => { if (playing < moments.length - 1) open(playing + 1); },
};
for (const dialog of [player, help]) {
  dialog.addEventListener('click', (event) => {
    const action = event.target.closest('[data-do]')?.dataset.do;
    if (action) ACTIONS[action](dialog);
    else if (event.target === dialog) dialog.close();  // beside it
  });
}

// --- keys -----------------------------------------------------------------------------------

const plays = () => [...results.querySelectorAll('.play')];

function rove(index) {
  plays().forEach((play, number) => {
    play.tabIndex = play.parentElement.querySelector('.like').tabIndex = number === index ? 0 : -1;
  });
}

function move(key) {
  const all = plays();
  const index = all.findIndex((play) => play.parentElement.contains(document.activeElement));
  if (index < 0) return false;
  const top = (play) => play.parentElement.offsetTop;
  const row = all.filter((play) => top(play) === top(all[0])).length;
  const target = {ArrowLeft: index - 1, ArrowRight: index + 1, ArrowUp: index - row,
                  ArrowDown: Math.min(index + row, all.length - 1), Home: 0, End: all.length - 1}[key];
  if (target === undefined) return false;
  if (target < 0 && key === 'ArrowUp') text.focus();
  else all[Math.max(0, Math.min(target, all.length - 1))].focus();
  return true;
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.matches('input:not([type=checkbox]), select');
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  let done = true;
  if (player.open) {
    if (key === 'm') ACTIONS.like();
    else if (key === 'n') ACTIONS.next();
    else if (key === 'p') ACTIONS.before();
    else if (key === 'r') ACTIONS.again();
    else done = false;
  } else if (help.open) {
    done = false;
  } else if (isTyping) {
    if (key === 'Escape' && event.target !== folder) event.target.blur();
    else if (key === 'ArrowDown' && event.target === text && plays().length) plays()[0].focus();
    else done = false;
  } else if (key === '/') {
    text.focus();
    text.select();
  } else if (key === '?') {
    help.showModal();
  } else if (key === 'm') {
    const index = plays().findIndex((play) => play.parentElement.contains(document.activeElement));
    if (index >= 0) moreLike(moments[index]); else done = false;
  } else {
    done = move(event.key);
  }
  if (done) event.preventDefault();
});

// --- what a person does ---------------------------------------------------------------------

form.addEventListener('submit', (event) => {
  event.preventDefault();
  go();
});
for (const field of [text, unwanted]) {
  field.addEventListener('input', () => {
    clearTimeout(typing);
    // While somebody types, no step of its own for each rest.
    typing = setTimeout(() => go({step: !shown}), TYPING_MS);
  });
}
for (const field of [folder, videos]) field.addEventListener('change', () => go());
more.addEventListener('click', () => {
  const before = moments.length;
  count = Math.min(count + PAGE, MOST);
  find().then(() => plays()[before]?.focus());
});
at('keys').addEventListener('click', () => help.showModal());
at('pick').addEventListener('click', () => at('file').click());
at('file').addEventListener('change', () => {
  searchByFile(at('file').files[0]);
  at('file').value = '';
});

let dragged = 0;
const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
addEventListener('dragenter', (event) => {
  if (!carriesFiles(event)) return;
  dragged += 1;
  at('drop').hidden = false;
});
addEventListener('dragleave', (event) => {
  if (!carriesFiles(event)) return;
  dragged -= 1;
  at('drop').hidden = dragged > 0 ? false : true;
});
addEventListener('dragover', (event) => { if (carriesFiles(event)) event.preventDefault(); });
addEventListener('drop', (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  dragged = 0;
  at('drop').hidden = true;
  searchByFile(event.dataTransfer.files[0]);
});
addEventListener('paste', (event) => {
  const chosen = event.clipboardData?.files[0];
  if (!chosen) return;
  event.preventDefault();
  searchByFile(chosen);
});

addEventListener('popstate', () => load());

// --- beginning ------------------------------------------------------------------------------

// Show what the address says; a moment that it plays is opened.
async function load() {
  clearTimeout(typing);
  const play = readAddress();
  const search = wanted();
  if (player.open && play === null) { playing = -1; player.close(); }
  const isShown = shown && JSON.stringify(search) === JSON.stringify(shown);
  if (!isShown) {
    setFile(null);
    count = PAGE;
    await find();
  }
  if (play !== null) {
    const index = moments.findIndex((moment) => moment.row === play);
    if (index >= 0) open(index, {step: false});
    else history.replaceState(null, '', addressOf(search));
  }
}

function addFolder(name, label) {
  const option = document.createElement('option');
  option.value = name;
  option.textContent = label;
  folder.append(option);
}

async function begin() {
  try {
    let told;
    [info, told] = await Promise.all([ask('/api/info'), ask('/api/folders')]);
    for (const {name, videos: number} of told.folders) addFolder(name, `${name} (${number})`);
    at('folders').hidden = !told.folders.length;
  } catch (error) {
    tell(error.message, 'bad');
    return;
  }
  const many = (number, kind) => `${number.toLocaleString()} ${kind}${number === 1 ? '' : 's'}`;
  at('there').textContent = info.windows
    ? `${many(info.moments, 'moment')} in ${many(info.videos, 'video')}` : many(info.videos, 'video');
  for (const part of document.querySelectorAll('.speech')) part.hidden = !info.speech;
  for (const part of [at('pick'), document.querySelector('.examples')]) part.hidden = !info.examples;
  if (!info.windows) videos.parentElement.hidden = true;
  await load();
  if (!shown && matchMedia('(hover: hover)').matches) text.focus();
}

begin();
