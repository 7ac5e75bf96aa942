//+------------------------------------------------------------------+
//|                                                        Bytes.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Bytes: a buffer that grows up to a bound, numbers in both byte orders, hex, UTF-8.
// May touch: arrays and strings. No files, sockets, orders.
// Rule: nothing here leaves an array's bounds, whatever the arguments: a program that does is
// ended by the terminal without a word. Reading behind the end gives 0, writing fails and says so.

#ifndef BRIDGE_SUPPORT_BYTES_MQH
#define BRIDGE_SUPPORT_BYTES_MQH

#define BYTES_UNBOUNDED 2147483647

// The eight bytes of a double, and the same as a number.
union UDoubleBits
  {
   double            value;
   ulong             bits;
  };

// The four bytes of a float, and the same as a number.
union UFloatBits
  {
   float             value;
   uint              bits;
  };

//+------------------------------------------------------------------+
//| A byte array with a length of its own, bounded, with a mark of   |
//| failure that stays until Clear(). Append... return false then.   |
//+------------------------------------------------------------------+
class CByteBuffer
  {
public:
   // The bytes [0, Size()): to be read by others, because MQL5 returns no arrays and passes none
   // but whole ones. Its ArraySize() is more than Size().
   uchar             m_data[];

private:
   int               m_size;
   int               m_limit;
   bool              m_failed;

public:
                     CByteBuffer(void);
   void              Limit(const int bytes);
   int               Limit(void) const { return(m_limit); }
   int               Size(void) const { return(m_size); }
   bool              Failed(void) const { return(m_failed); }
   void              Clear(void);
   bool              Reserve(const int bytes);
   bool              Truncate(const int bytes);
   bool              RemoveFront(const int bytes);
   uchar             At(const int index) const;
   //--- appending
   bool              Append(const uchar &data[],const int begin,const int count);
   bool              AppendAll(const uchar &data[]);
   bool              AppendBuffer(const CByteBuffer &other);
   bool              AppendZeros(const int count);
   bool              AppendText(const string text);
   bool              U8(const uint value);
   bool              U16LE(const uint value);
   bool              U32LE(const uint value);
   bool              U64LE(const ulong value);
   bool              U16BE(const uint value);
   bool              U32BE(const uint value);
   bool              U64BE(const ulong value);
   bool              F64BE(const double value);
   bool              F64LE(const double value);
   //--- taking out
   int               CopyTo(uchar &out[],const int begin,const int count) const;
   bool              ToArray(uchar &out[]) const;
   string            Hex(void) const;

private:
   bool              Grow(const int count);
  };

CByteBuffer::CByteBuffer(void) : m_size(0),m_limit(BYTES_UNBOUNDED),m_failed(false)
  {
  }

// Bound the size; what is there already stays.
void CByteBuffer::Limit(const int bytes)
  {
   m_limit=(bytes<0 ? 0 : bytes);
  }

void CByteBuffer::Clear(void)
  {
   m_size=0;
   m_failed=false;
  }

// Have room for so many bytes in all, so that appending them allocates nothing.
bool CByteBuffer::Reserve(const int bytes)
  {
   if(bytes<=ArraySize(m_data))
      return(true);
   if(bytes>m_limit || ArrayResize(m_data,bytes)!=bytes)
      return(false);
   return(true);
  }

// Forget what is behind the first so many bytes.
bool CByteBuffer::Truncate(const int bytes)
  {
   if(bytes<0 || bytes>m_size)
      return(false);
   m_size=bytes;
   return(true);
  }

bool CByteBuffer::RemoveFront(const int bytes)
  {
   if(bytes<0 || bytes>m_size)
      return(false);
   int rest=m_size-bytes;
   if(bytes>0 && rest>0 && ArrayCopy(m_data,m_data,0,bytes,rest)!=rest)
     {
      m_failed=true;
      return(false);
     }
   m_size=rest;
   return(true);
  }

uchar CByteBuffer::At(const int index) const
  {
   return(index>=0 && index<m_size ? m_data[index] : (uchar)0);
  }

bool CByteBuffer::Grow(const int count)
  {
   if(m_failed)
      return(false);
   if(count<0 || count>m_limit-m_size)
     {
      m_failed=true;
      return(false);
     }
   int wanted=m_size+count;
   int room=ArraySize(m_data);
   if(wanted<=room)
      return(true);
   int next=(room<64 ? 64 : room);
   while(next<wanted && next<1073741824)
      next*=2;
   if(next<wanted)
      next=wanted;
   if(ArrayResize(m_data,next)!=next)
     {
      m_failed=true;
      return(false);
     }
   return(true);
  }

bool CByteBuffer::Append(const uchar &data[],const int begin,const int count)
  {
   if(count==0)
      return(!m_failed);
   if(begin<0 || count<0 || count>ArraySize(data)-begin)
     {
      m_failed=true;
      return(false);
     }
   if(!Grow(count))
      return(false);
   if(ArrayCopy(m_data,data,m_size,begin,count)!=count)
     {
      m_failed=true;
      return(false);
     }
   m_size+=count;
   return(true);
  }

bool CByteBuffer::AppendAll(const uchar &data[])
  {
   return(Append(data,0,ArraySize(data)));
  }

bool CByteBuffer::AppendBuffer(const CByteBuffer &other)
  {
   return(Append(other.m_data,0,other.Size()));
  }

bool CByteBuffer::AppendZeros(const int count)
  {
   if(!Grow(count))
      return(false);
   if(count>0)
      ArrayFill(m_data,m_size,count,0);
   m_size+=count;
   return(true);
  }

// Append a text as UTF-8, without the NUL at its end.
bool CByteBuffer::AppendText(const string text)
  {
   uchar bytes[];
   int count=TextToUtf8(text,bytes);
   if(count<0)
     {
      m_failed=true;
      return(false);
     }
   return(Append(bytes,0,count));
  }

bool CByteBuffer::U8(const uint value)
  {
   if(!Grow(1))
      return(false);
   m_data[m_size]=(uchar)(value&0xFF);
   m_size++;
   return(true);
  }

bool CByteBuffer::U16LE(const uint value)
  {
   if(!Grow(2))
      return(false);
   PutU16LE(m_data,m_size,value);
   m_size+=2;
   return(true);
  }

bool CByteBuffer::U32LE(const uint value)
  {
   if(!Grow(4))
      return(false);
   PutU32LE(m_data,m_size,value);
   m_size+=4;
   return(true);
  }

bool CByteBuffer::U64LE(const ulong value)
  {
   if(!Grow(8))
      return(false);
   PutU64LE(m_data,m_size,value);
   m_size+=8;
   return(true);
  }

bool CByteBuffer::U16BE(const uint value)
  {
   if(!Grow(2))
      return(false);
   PutU16BE(m_data,m_size,value);
   m_size+=2;
   return(true);
  }

bool CByteBuffer::U32BE(const uint value)
  {
   if(!Grow(4))
      return(false);
   PutU32BE(m_data,m_size,value);
   m_size+=4;
   return(true);
  }

bool CByteBuffer::U64BE(const ulong value)
  {
   if(!Grow(8))
      return(false);
   PutU64BE(m_data,m_size,value);
   m_size+=8;
   return(true);
  }

bool CByteBuffer::F64BE(const double value)
  {
   return(U64BE(DoubleToBits(value)));
  }

bool CByteBuffer::F64LE(const double value)
  {
   return(U64LE(DoubleToBits(value)));
  }

// Copy a part into an array, which is made as large as the part; return its size, -1 on failure.
int CByteBuffer::CopyTo(uchar &out[],const int begin,const int count) const
  {
   if(begin<0 || count<0 || count>m_size-begin)
      return(-1);
   if(ArrayResize(out,count)!=count)
      return(-1);
   if(count>0 && ArrayCopy(out,m_data,0,begin,count)!=count)
      return(-1);
   return(count);
  }

bool CByteBuffer::ToArray(uchar &out[]) const
  {
   return(CopyTo(out,0,m_size)==m_size);
  }

string CByteBuffer::Hex(void) const
  {
   return(BytesToHex(m_data,0,m_size));
  }

//+------------------------------------------------------------------+
//| Numbers at a place of an array: writing does nothing, reading    |
//| gives 0 when they would leave it.                                |
//+------------------------------------------------------------------+
bool Fits(const int size,const int at,const int count)
  {
   return(at>=0 && count>=0 && count<=size-at);
  }

void PutU16LE(uchar &data[],const int at,const uint value)
  {
   if(!Fits(ArraySize(data),at,2))
      return;
   data[at]=(uchar)(value&0xFF);
   data[at+1]=(uchar)((value>>8)&0xFF);
  }

void PutU32LE(uchar &data[],const int at,const uint value)
  {
   if(!Fits(ArraySize(data),at,4))
      return;
   data[at]=(uchar)(value&0xFF);
   data[at+1]=(uchar)((value>>8)&0xFF);
   data[at+2]=(uchar)((value>>16)&0xFF);
   data[at+3]=(uchar)((value>>24)&0xFF);
  }

void PutU64LE(uchar &data[],const int at,const ulong value)
  {
   PutU32LE(data,at,(uint)(value&UINT_MAX));
   PutU32LE(data,at+4,(uint)(value>>32));
  }

void PutU16BE(uchar &data[],const int at,const uint value)
  {
   if(!Fits(ArraySize(data),at,2))
      return;
   data[at]=(uchar)((value>>8)&0xFF);
   data[at+1]=(uchar)(value&0xFF);
  }

void PutU32BE(uchar &data[],const int at,const uint value)
  {
   if(!Fits(ArraySize(data),at,4))
      return;
   data[at]=(uchar)((value>>24)&0xFF);
   data[at+1]=(uchar)((value>>16)&0xFF);
   data[at+2]=(uchar)((value>>8)&0xFF);
   data[at+3]=(uchar)(value&0xFF);
  }

void PutU64BE(uchar &data[],const int at,const ulong value)
  {
   PutU32BE(data,at,(uint)(value>>32));
   PutU32BE(data,at+4,(uint)(value&UINT_MAX));
  }

void PutF64BE(uchar &data[],const int at,const double value)
  {
   PutU64BE(data,at,DoubleToBits(value));
  }

void PutF64LE(uchar &data[],const int at,const double value)
  {
   PutU64LE(data,at,DoubleToBits(value));
  }

uint GetU16LE(const uchar &data[],const int at)
  {
   if(!Fits(ArraySize(data),at,2))
      return(0);
   return((uint)data[at]|((uint)data[at+1]<<8));
  }

uint GetU32LE(const uchar &data[],const int at)
  {
   if(!Fits(ArraySize(data),at,4))
      return(0);
   return((uint)data[at]|((uint)data[at+1]<<8)|((uint)data[at+2]<<16)|((uint)data[at+3]<<24));
  }

ulong GetU64LE(const uchar &data[],const int at)
  {
   if(!Fits(ArraySize(data),at,8))
      return(0);
   return((ulong)GetU32LE(data,at)|((ulong)GetU32LE(data,at+4)<<32));
  }

uint GetU16BE(const uchar &data[],const int at)
  {
   if(!Fits(ArraySize(data),at,2))
      return(0);
   return(((uint)data[at]<<8)|(uint)data[at+1]);
  }

uint GetU32BE(const uchar &data[],const int at)
  {
   if(!Fits(ArraySize(data),at,4))
      return(0);
   return(((uint)data[at]<<24)|((uint)data[at+1]<<16)|((uint)data[at+2]<<8)|(uint)data[at+3]);
  }

ulong GetU64BE(const uchar &data[],const int at)
  {
   if(!Fits(ArraySize(data),at,8))
      return(0);
   return(((ulong)GetU32BE(data,at)<<32)|(ulong)GetU32BE(data,at+4));
  }

ulong DoubleToBits(const double value)
  {
   UDoubleBits both={};
   both.value=value;
   return(both.bits);
  }

double BitsToDouble(const ulong bits)
  {
   UDoubleBits both={};
   both.bits=bits;
   return(both.value);
  }

float BitsToFloat(const uint bits)
  {
   UFloatBits both={};
   both.bits=bits;
   return(both.value);
  }

// Tell whether a number is neither infinite nor NaN, by its bits: MathIsValidNumber is not asked,
// so that both sides decide by the same rule.
bool IsFinite(const double value)
  {
   return((DoubleToBits(value)&0x7FF0000000000000)!=0x7FF0000000000000);
  }

//+------------------------------------------------------------------+
//| Hex and text                                                     |
//+------------------------------------------------------------------+
string BytesToHex(const uchar &data[],const int begin,const int count)
  {
   uchar digits[];
   if(count<=0 || !Fits(ArraySize(data),begin,count) || ArrayResize(digits,2*count)!=2*count)
      return("");
   for(int i=0; i<count; i++)
     {
      int value=(int)data[begin+i];
      digits[2*i]=HexCharacter(value/16);
      digits[2*i+1]=HexCharacter(value%16);
     }
   return(CharArrayToString(digits,0,2*count,CP_UTF8));
  }

uchar HexCharacter(const int digit)
  {
   return((uchar)(digit<10 ? '0'+digit : 'a'+digit-10));
  }

int HexDigit(const ushort c)
  {
   if(c>='0' && c<='9')
      return((int)c-'0');
   if(c>='a' && c<='f')
      return((int)c-'a'+10);
   if(c>='A' && c<='F')
      return((int)c-'A'+10);
   return(-1);
  }

// Fill an array from hex digits; return the number of bytes, -1 when the text is not hex.
int HexToBytes(const string text,uchar &out[])
  {
   int digits=StringLen(text);
   if(digits%2!=0)
      return(-1);
   int count=digits/2;
   if(ArrayResize(out,count)!=count)
      return(-1);
   for(int i=0; i<count; i++)
     {
      int high=HexDigit(StringGetCharacter(text,2*i));
      int low=HexDigit(StringGetCharacter(text,2*i+1));
      if(high<0 || low<0)
         return(-1);
      out[i]=(uchar)(high*16+low);
     }
   return(count);
  }

// Fill an array with a text as UTF-8; return the number of bytes, -1 on failure. The NUL that
// StringToCharArray puts behind it is not counted, but may be in the array.
int TextToUtf8(const string text,uchar &out[])
  {
   if(StringLen(text)==0)
      return(ArrayResize(out,0)==0 ? 0 : -1);
   int count=StringToCharArray(text,out,0,WHOLE_ARRAY,CP_UTF8);
   if(count<=0)
      return(-1);
   return(out[count-1]==0 ? count-1 : count);
  }

// Return the text of UTF-8 bytes, which must have been checked: see Utf8Problem.
string Utf8ToText(const uchar &data[],const int begin,const int count)
  {
   if(count<=0 || !Fits(ArraySize(data),begin,count))
      return("");
   return(CharArrayToString(data,begin,count,CP_UTF8));
  }

// Return how many bytes the UTF-8 sequence at a place has, 0 when it is none: cut, longer than
// need be, a surrogate, or above U+10FFFF.
int Utf8Length(const uchar &data[],const int at,const int end)
  {
   int first=(int)data[at];
   if(first<0x80)
      return(1);
   int length=0;
   int low=0x80;
   int high=0xBF;
   if(first>=0xC2 && first<=0xDF)
      length=2;
   else
      if(first>=0xE0 && first<=0xEF)
         length=3;
      else
         if(first>=0xF0 && first<=0xF4)
            length=4;
         else
            return(0);
   if(first==0xE0)
      low=0xA0;
   if(first==0xED)
      high=0x9F;
   if(first==0xF0)
      low=0x90;
   if(first==0xF4)
      high=0x8F;
   if(length>end-at)
      return(0);
   int second=(int)data[at+1];
   if(second<low || second>high)
      return(0);
   for(int i=2; i<length; i++)
      if((data[at+i]&0xC0)!=0x80)
         return(0);
   return(length);
  }

bool IsUtf8(const uchar &data[],const int begin,const int count)
  {
   if(!Fits(ArraySize(data),begin,count))
      return(false);
   int at=begin;
   int end=begin+count;
   while(at<end)
     {
      int length=Utf8Length(data,at,end);
      if(length==0)
         return(false);
      at+=length;
     }
   return(true);
  }

bool HasNul(const uchar &data[],const int begin,const int count)
  {
   if(!Fits(ArraySize(data),begin,count))
      return(true);
   for(int i=0; i<count; i++)
      if(data[begin+i]==0)
         return(true);
   return(false);
  }

// Return a text cut to so many bytes of UTF-8, at the end of a character.
string ClipText(const string text,const int bytes)
  {
   uchar data[];
   int count=TextToUtf8(text,data);
   if(count<0)
      return("");
   if(count<=bytes)
      return(text);
   int end=(bytes<0 ? 0 : bytes);
   while(end>0 && (data[end]&0xC0)==0x80)
      end--;
   return(Utf8ToText(data,0,end));
  }

// Return a text of the peer's so that it may stand in a log: control characters, line ends and
// what changes the direction of writing become blanks.
string PrintableText(const string text)
  {
   string result=text;
   int length=StringLen(result);
   for(int i=0; i<length; i++)
     {
      ushort c=StringGetCharacter(result,i);
      bool bad=(c<0x20 || (c>=0x7F && c<=0xA0) || c==0xAD || (c>=0x200B && c<=0x200F) ||
                (c>=0x2028 && c<=0x202E) || (c>=0x2060 && c<=0x206F) || c==0xFEFF || c>=0xFFF9);
      if(bad && !StringSetCharacter(result,i,' '))
         return("");
     }
   return(result);
  }

#endif // BRIDGE_SUPPORT_BYTES_MQH
