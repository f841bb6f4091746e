// People who look like some faces: the crops of the faces, recognised.
import { call } from "./api.js";

const MOST = 3;
const CANDIDATES = 20;

async function nearest(face, signal) {
  const crop = await call("GET", `/v1/faces/${encodeURIComponent(face)}/crop`, { signal, cache: "default" });
  const body = await crop.blob();
  const answer = await call("POST", `/v1/recognize?limit=${CANDIDATES}`, { body, type: body.type, signal });
  // In the middle of a crop is the face that it shows.
  const { width, height, faces } = await answer.json();
  const off = ({ box }) => Math.hypot(box.x + box.width / 2 - width / 2, box.y + box.height / 2 - height / 2);
  return faces.sort((a, b) => off(a) - off(b))[0]?.candidates ?? [];
}

/** Similarities to people by their ids, for the first few faces; empty where nobody can tell. */
export async function likePeople(faces, signal) {
  const found = await Promise.all(faces.slice(0, MOST).map((face) => nearest(face, signal).catch(() => [])));
  const best = new Map();
  for (const { person, similarity } of found.flat()) best.set(person.id, Math.max(similarity, best.get(person.id) ?? -1));
  return best;
}
