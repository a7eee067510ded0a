// What is wrong with the page that is open: for each kind of fault, a list of what has it.
async () => {
  const faults = { outline: [], pictures: [], contrast: [], sizes: [], targets: [], width: [] };
  const root = document.documentElement;

  const seen = element =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const shorten = text => text.trim().replace(/\s+/g, " ").slice(0, 60);
  const name = element =>
    `<${element.localName}${element.className ? ` class="${element.className}"` : ""}> ` +
    `"${shorten(element.textContent)}"`;

  // --- Outline: what the page is, and headings that do not skip a level -------------------------

  if (!root.lang) faults.outline.push("no lang");
  if (!document.title.trim()) faults.outline.push("no title");
  const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(seen);
  const tops = headings.filter(heading => heading.localName === "h1").length;
  if (tops !== 1) faults.outline.push(`${tops} headings h1`);
  let level = 0;
  for (const heading of headings) {
    const next = Number(heading.localName[1]);
    if (next > level + 1) faults.outline.push(`h${next} after h${level}: ${name(heading)}`);
    level = next;
  }

  // --- Pictures: they load, and words stand for them, but for signs on what is pressed ----------

  for (const image of document.images) {
    image.loading = "eager";
    await image.decode().catch(() => {});
    const source = image.currentSrc.slice(0, 80);
    if (!image.naturalWidth) faults.pictures.push(`does not load: ${source}`);
    if (!image.alt.trim()) faults.pictures.push(`has no text: ${source}`);
  }
  const drawings = document.querySelectorAll("svg:not(a *, button *, label *, [aria-hidden])");
  for (const drawing of [...drawings].filter(seen)) {
    const named = drawing.ariaLabel || drawing.querySelector("title");
    if (!named) faults.pictures.push(`has no text: ${name(drawing.parentElement)}`);
  }

  // --- Text: its size, and its contrast with what is behind it ----------------------------------

  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const parse = color => { // red, green, blue and alpha, all from 0 to 1
    if (!known.has(color)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      known.set(color, [...canvas.getImageData(0, 0, 1, 1).data].map(part => part / 255));
    }
    return known.get(color);
  };
  const over = ([r, g, b, alpha], below) =>
    [r, g, b].map((part, i) => alpha * part + (1 - alpha) * below[i]);
  const luminance = color => {
    const [r, g, b] = color.map(
      part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4),
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const backdrop = element => {
    if (!element) return [1, 1, 1];
    const color = parse(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, backdrop(element.parentElement));
  };
  const opacity = element =>
    element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;

  const judged = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || judged.has(element) || !seen(element)) continue;
    judged.add(element);
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    if (size < 12) faults.sizes.push(`${size.toFixed(1)} px: ${name(element)}`);
    const behind = backdrop(element);
    const [r, g, b, alpha] = parse(style.color);
    const ratio = contrast(over([r, g, b, alpha * opacity(element)], behind), behind);
    if (ratio < 4.495) faults.contrast.push(`${ratio.toFixed(2)}: ${name(element)}`);
  }

  // --- Fingers: what is pressed is large enough, but for links in a text ------------------------

  const block = element =>
    getComputedStyle(element).display === "inline" ? block(element.parentElement) : element;
  const inText = element => shorten(block(element).textContent) !== shorten(element.textContent);
  for (const element of document.querySelectorAll("a[href], button, input, select, summary")) {
    const { width, height } = element.getBoundingClientRect();
    if (!seen(element) || inText(element) || (width >= 24 && height >= 24)) continue;
    faults.targets.push(`${width.toFixed(0)} x ${height.toFixed(0)}: ${name(element)}`);
  }

  // --- Width: the page does not scroll sideways -------------------------------------------------

  const excess = root.scrollWidth - root.clientWidth;
  if (excess > 0) {
    const wide = [...document.body.querySelectorAll("*")].filter(
      element => element.getBoundingClientRect().right > root.clientWidth + 1,
    );
    faults.width.push(`${excess} px too wide: ${wide.slice(0, 4).map(name).join(", ")}`);
  }
  return faults;
};
