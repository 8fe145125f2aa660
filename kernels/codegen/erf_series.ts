/** What all devices compute the error function from. */

/** Least-squares fit of erfc(a) exp(a^2) in powers of u = 1 / (1 + a / 2) for 1 <= a <= 6; error below 5e-9 in erfc. */
export const ERFC_SCALED: readonly number[] = [
  0.0012421909486874938,
  0.26505759358406067,
  0.37723788619041443,
  -0.029078807681798935,
  0.6049584150314331,
  -0.21951240301132202,
];

/** The first coefficients 2 / sqrt(pi) (-1)^n / (n! (2 n + 1)) of erf(x) / x in powers of x^2, its Maclaurin series. */
export function erfSeries(terms: number): number[] {
  let factorial = 1;
  return Array.from({ length: terms }, (_, n) => {
    factorial *= Math.max(n, 1);
    return (2 / Math.sqrt(Math.PI)) * (n % 2 ? -1 : 1) / (factorial * (2 * n + 1));
  });
}
