# genzoo_embed_text(SOURCE HEADER NAME FILE [NAME FILE]...): writes the C++ file SOURCE, which defines each NAME that
# HEADER declares as `extern const std::string_view` in namespace genzoo, the bytes of FILE. A change of a FILE
# configures again. For texts without NUL.

function(genzoo_embed_text source header)
  set(code "// Written by cmake/EmbedText.cmake.\n#include \"${header}\"\n\nnamespace genzoo {\n")
  while(ARGN)
    list(POP_FRONT ARGN name file)
    get_filename_component(file "${file}" ABSOLUTE)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(READ "${file}" text)
    string(FIND "${text}" ")embedded\"" end)
    if(NOT end EQUAL -1)
      message(FATAL_ERROR "${file}: holds the characters that end a raw string here, )embedded\"")
    endif()
    string(APPEND code "\nconst std::string_view ${name} = R\"embedded(${text})embedded\";\n")
  endwhile()
  string(APPEND code "\n}  // namespace genzoo\n")
  set(there)
  if(EXISTS ${source})
    file(READ ${source} there)
  endif()
  if(NOT there STREQUAL code) # or each configuring would compile it again
    file(WRITE ${source} "${code}")
  endif()
endfunction()
