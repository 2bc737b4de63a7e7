# Makes OUT, a C file with the bytes of the page's files: -DDIR=... -DOUT=...
set(text "#include \"monitor/page_files.h\"\n")
foreach(file index.html page.js page.css icon.svg)
	file(READ ${DIR}/${file} bytes HEX)
	string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
	string(REGEX REPLACE "(................................................................................)"
		"\\1\n\t" bytes "${bytes}")
	string(MAKE_C_IDENTIFIER ${file} name)
	string(REGEX REPLACE "^(index|icon)" "page_\\1" name ${name})
	string(APPEND text "\nconst unsigned char ${name}[] = {\n\t${bytes}\n};\n"
		"const size_t ${name}_size = sizeof(${name});\n")
endforeach()
file(WRITE ${OUT} "${text}")
