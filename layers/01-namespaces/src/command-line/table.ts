/** Rows as columns of text, each as wide as its widest cell, `gap` between them. */
export function table(rows: readonly (readonly string[])[], gap: string): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join(gap)
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}
