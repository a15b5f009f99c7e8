# Warnings, hardening and sanitizers for every target of ours.
add_library(sluis_flags INTERFACE)
target_compile_definitions(sluis_flags INTERFACE _GNU_SOURCE SLUIS_VERSION="${PROJECT_VERSION}")
target_compile_options(sluis_flags INTERFACE
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Wmissing-prototypes
    -Wundef -Wformat=2 -Werror -fstack-protector-strong -fno-strict-aliasing
    $<$<CONFIG:Release>:-U_FORTIFY_SOURCE>
    $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=$<IF:$<C_COMPILER_ID:GNU>,3,2>>
    -fPIE)
target_link_options(sluis_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
target_include_directories(sluis_flags INTERFACE ${PROJECT_SOURCE_DIR}/include)
if(SLUIS_SANITIZE)
    target_compile_options(sluis_flags INTERFACE
        -fsanitize=${SLUIS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(sluis_flags INTERFACE -fsanitize=${SLUIS_SANITIZE})
endif()
if(SLUIS_FUZZ)
    target_compile_options(sluis_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# sluis_room(name SOURCES a.c b.c ROOMS base net LIBS PkgConfig::LMDB)
# One library per room. ROOMS is checked against edges.txt by tests/lint/edges.
function(sluis_room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;ROOMS;LIBS" ${ARGN})
    add_library(sluis_${name} STATIC ${ROOM_SOURCES})
    target_link_libraries(sluis_${name} PUBLIC sluis_flags)
    foreach(room ${ROOM_ROOMS})
        target_link_libraries(sluis_${name} PUBLIC sluis_${room})
    endforeach()
    target_link_libraries(sluis_${name} PUBLIC ${ROOM_LIBS})
endfunction()

# sluis_unit(name SOURCES test_x.c ROOMS base [LIBS ...] [LABEL unit])
# A cmocka program that is one ctest case.
function(sluis_unit name)
    cmake_parse_arguments(UNIT "" "LABEL;TIMEOUT" "SOURCES;ROOMS;LIBS" ${ARGN})
    if(NOT UNIT_LABEL)
        set(UNIT_LABEL unit)
    endif()
    if(NOT UNIT_TIMEOUT)
        set(UNIT_TIMEOUT 600) # for what hangs: a machine may be slow, busy, or run it under a sanitizer
    endif()
    add_executable(${name} ${UNIT_SOURCES})
    foreach(room ${UNIT_ROOMS})
        target_link_libraries(${name} PRIVATE sluis_${room})
    endforeach()
    target_link_libraries(${name} PRIVATE sluis_flags PkgConfig::CMOCKA ${UNIT_LIBS})
    target_compile_definitions(${name} PRIVATE SLUIS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS ${UNIT_LABEL} TIMEOUT ${UNIT_TIMEOUT}
        SKIP_RETURN_CODE 77)
endfunction()

# sluis_fuzz(name SOURCES fuzz_x.c ROOMS base CORPUS dir)
# A libFuzzer program; with the fuzz preset `ctest -L fuzz` runs it for SLUIS_FUZZ_SECONDS.
function(sluis_fuzz name)
    if(NOT SLUIS_FUZZ)
        return()
    endif()
    cmake_parse_arguments(FUZZ "" "CORPUS" "SOURCES;ROOMS;LIBS" ${ARGN})
    add_executable(${name} ${FUZZ_SOURCES})
    foreach(room ${FUZZ_ROOMS})
        target_link_libraries(${name} PRIVATE sluis_${room})
    endforeach()
    target_link_libraries(${name} PRIVATE sluis_flags ${FUZZ_LIBS})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/fuzz/run-one $<TARGET_FILE:${name}>
        ${CMAKE_CURRENT_SOURCE_DIR}/${FUZZ_CORPUS})
    set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 3600)
endfunction()
