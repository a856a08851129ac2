// What was typed about a patient, as DICOM writes it. Pure.

/** {patient, order}, {barcode}, or null where nothing was typed. */
export function patientOf({ barcode, family, given, id, birth, sex, accession, procedure }) {
  if (barcode) return { barcode };
  if (!family && !given && !id) return null;
  const name = [plain(family), plain(given)].join("^").replace(/\^+$/, "");
  return { patient: { name, id, birth_date: birth, sex }, order: { accession, procedure } };
}

/** "^", "=" and "\" divide DICOM's names and values: they cannot be a part of one. */
function plain(text) {
  return text.replace(/[\^=\\]/g, " ").trim();
}
