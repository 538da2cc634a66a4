"use strict";
// The page can be read without this: it adds the search, and plays videos in their places.
const search = document.getElementById("search"), found = document.getElementById("found");
const rows = [...document.querySelectorAll(".row")];
let texts = null;
search.hidden = false;
search.addEventListener("input", () => {
  texts ??= rows.map((row) => row.textContent.toLowerCase());
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  rows.forEach((row, at) => {
    const fits = words.every((word) => texts[at].includes(word));
    row.classList.toggle("away", !fits);
    count += fits;
  });
  found.textContent = words.length ? `${count} found` : "";
});
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
document.querySelector(".rows").addEventListener("click", (event) => {
  const link = event.target.closest("a.video");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const video = document.createElement("video");
  video.controls = video.autoplay = video.playsInline = true;
  video.src = link.href;
  video.addEventListener("error", () => video.replaceWith(link, " can't be played here"));
  link.replaceWith(video);
});
