// Another file with the same face: smaller and compressed anew.
async (photo) => {
  const bytes = Uint8Array.from(atob(photo), (c) => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes]));
  const canvas = new OffscreenCanvas(Math.round(bitmap.width * 0.7), Math.round(bitmap.height * 0.7));
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const out = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.85 })).arrayBuffer());
  let text = '';
  for (const byte of out) text += String.fromCharCode(byte);
  return btoa(text);
}
