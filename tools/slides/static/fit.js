// Code that is too wide, and a slide that is too high, are made smaller until they fit; very long lines wrap.
function shrink(parts, tooLarge, least) {
  for (let zoom = 1; zoom > least && tooLarge(); zoom -= 0.04) parts.forEach((part) => (part.style.zoom = zoom));
}
function fit(slide) {
  slide.querySelectorAll("pre").forEach((pre) => {
    const wide = () => pre.scrollWidth > pre.clientWidth;
    shrink([pre], wide, 0.65);
    if (wide()) Object.assign(pre.style, { zoom: 1, whiteSpace: "pre-wrap" });
  });
  const parts = [...slide.children].filter((part) => !part.matches("aside"));
  shrink(parts, () => slide.scrollHeight > Reveal.getConfig().height, 0.4);
}
Reveal.on("ready", (event) => fit(event.currentSlide));
Reveal.on("slidechanged", (event) => fit(event.currentSlide));
Reveal.on("pdf-ready", () => Reveal.getSlides().forEach(fit));
Reveal.initialize({
  width: 1280, height: 720, margin: 0.03, center: false, hash: true, slideNumber: "c/t", transition: "none",
  plugins: [RevealNotes],
});
