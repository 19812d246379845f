/* Numbers as text that reads back as the same number. */
#ifndef TS_BASE_DECIMAL_H
#define TS_BASE_DECIMAL_H

/* The shortest decimal that reads back as `value`: "0.4", "1", "1e-05". */
void ts_decimal(double value, char text[32]);

/* T as it stands in file names and keys, always with a point or an exponent: "0.4", "1.0". */
void ts_T_text(double T, char text[32]);

#endif
