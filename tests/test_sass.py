"""Instructions counted in SASS: loops, products, bytes of shared memory."""

from bench import sass

LOOPING = """
        /*0000*/                   S2R R14, SR_TID.X ;                                   /* 0x0000000000000000 */
                                                                                         /* 0x000ea20000002100 */
        /*0010*/                   LDGSTS.E.BYPASS.128 [R43], desc[UR22][R12.64], P2 ;   /* 0x0000000000000000 */
        /*0020*/                   HGMMA.64x32x16.F32 R24, gdesc[UR12].tnspB, R24 ;      /* 0x0000000000000000 */
        /*0030*/              @!PT LDS RZ, [RZ] ;                                        /* 0x0000000000000000 */
        /*0040*/                   LDGSTS.E.128 [R45], desc[UR22][R10.64] ;              /* 0x0000000000000000 */
        /*0050*/                   HGMMA.64x32x16.F32 R24, R68, gdesc[UR12].tnspB, R24, gsb0 ; /* 0x0000000000000000 */
        /*0060*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;                         /* 0x0000000000000000 */
        /*0070*/               @P1 BRA 0x100 ;                                           /* 0x0000000000000000 */
        /*0080*/               @P0 BRA 0x20 ;                                            /* 0x0000000000000000 */
        /*0090*/                   LDS.64 R4, [R2] ;                                     /* 0x0000000000000000 */
        /*00a0*/                   MUFU.EX2 R5, R4 ;                                     /* 0x0000000000000000 */
        /*00b0*/               @P0 EXIT ;                                                /* 0x0000000000000000 */
        /*0100*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR4], R0 ;        /* 0x0000000000000000 */
        /*0110*/              @!P0 BRA 0x100 ;                                           /* 0x0000000000000000 */
        /*0120*/                   BRA 0x20 ;                                            /* 0x0000000000000000 */
        /*0130*/                   NOP;                                                  /* 0x0000000000000000 */
"""


def test_a_loop_with_products():
    """The branch back from the wait behind the code is none of the loop's, nor is the wait a loop of its own."""
    code = sass.count(LOOPING, warps=8, rows=128, columns=32, width=2)
    groups = 2
    adds = 2 * 64 * 32 * 16 * groups
    operands = ((64 + 32) + 32) * 16 * 2 * groups  # the second product has its rows in registers
    copied = 1024 * 8  # read from the L1 cache and written
    assert code.loops == {
        "products": 2, sass.ADDS: adds, sass.SHARED: operands + copied, "copies": 1, "barriers": 1, "other": 3
    }  # fmt: skip
    assert code.outside == {
        "other": 4, "copies": 1, "shared": 1, "special": 1, "barriers": 1, sass.SHARED: 8 * (512 + 256)
    }  # fmt: skip
    done = code.executed(10 * adds)
    assert done["products"] == 20 and done["copies"] == 11 and done[sass.ADDS] == 10 * adds


def test_products_by_name():
    def product(text, **block):
        (one,) = sass.parse(f"/*0000*/ {text} ;")
        return sass.product(one, **{"warps": 4, "rows": 128, "columns": 64, "width": 2, **block})

    assert product("HMMA.16816.F32 R4, R36.reuse, R40, R4") == (16 * 8 * 16 * 4, 0)
    assert product("HMMA.1688.F32.TF32 R4, R36, R40, R4") == (16 * 8 * 8 * 4, 0)
    assert product("HGMMA.64x64x8.F32.TF32 R24, gdesc[UR4], R24", width=4) == (64 * 64 * 8, (64 + 64) * 8 * 4)
    assert product("UTCHMMA gdesc[UR4], gdesc[UR12], tmem[UR10]") == (128 * 64 * 16, (128 + 64) * 16 * 2)
    assert product("UTCHMMA tmem[UR16], gdesc[UR10], tmem[UR14]", width=4) == (128 * 64 * 8, 64 * 8 * 4)


def test_bytes_of_shared_memory_by_name():
    names = {"LDS": 128, "LDS.64": 256, "STS.128": 512, "LDSM.16.MT88.4": 512, "STSM.16.M88.2": 256}
    names |= {"LDGSTS.E.BYPASS.LTC128B.128": 512, "LDGSTS.E.128": 1024, "LDGSTS.E.64": 512, "LDGSTS.E": 256}
    assert {name: sass.accessed(name) for name in names} == names


def test_code_without_products_turns_as_often_as_it_is_told():
    looping = LOOPING.replace("HGMMA.64x32x16.F32 R24, ", "FFMA ")
    code = sass.count(looping, 4, 0, 0, 4)
    assert code.executed(0, turns=7)["copies"] == 8 and sass.ADDS not in code.outside


def test_counts_survive_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sass, "COUNTS", tmp_path / "sass.json")
    assert sass.load() == {}
    codes = {"| sm_90 | head | 16×32×64 |": sass.count(LOOPING, 8, 128, 32, 2)}
    sass.save(codes, "3.9.0")
    assert sass.load() == codes
