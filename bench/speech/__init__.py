"""Human speech from Debian's packages, laid out for `fastsvc prepare`: `make speech`, docs/speech.md."""
